/* The same path again and again, while what is there changes. */
#include "selfcheck.h"
#include <pthread.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define AT AT_FDCWD
#define LOOK(state) \
	for (int i_ = 0; i_ < 3; i_++) \
	traced(syscall(SYS_faccessat2, AT, "x", F_OK, AT_SYMLINK_NOFOLLOW), ANY, \
	       "faccessat2 stat " state " ~/x as \"x\"")

static void *drop(void *unused)
{
	(void)unused;
	must(syscall(SYS_unlinkat, AT, "x", 0));
	return NULL;
}

int main(int argc, char **argv)
{
	(void)argc;
	pthread_t thread;

	scratch(argv);
	render("pids");
	file("x");
	dir("d");
	file("d/a");
	file("other");
	linkto("other", "link");
	begin();

	LOOK("file");
	traced(syscall(SYS_unlinkat, AT, "x", 0), 0, "unlinkat delete file ~/x as \"x\"");
	LOOK("absent");
	traced(syscall(SYS_mkdirat, AT, "x", 0755), 0, "mkdirat create absent ~/x as \"x\"");
	LOOK("dir");
	traced(syscall(SYS_unlinkat, AT, "x", AT_REMOVEDIR), 0, "unlinkat delete dir ~/x as \"x\"");
	LOOK("absent");
	traced(syscall(SYS_mknodat, AT, "x", S_IFIFO | 0600, 0), 0,
	       "mknodat create absent ~/x as \"x\"");
	LOOK("other");
	traced(syscall(SYS_renameat2, AT, "link", AT, "x", 0), 0,
	       "renameat2 rename symlink ~/link as \"link\" -> ~/x other as \"x\"");
	LOOK("symlink");
	traced(syscall(SYS_renameat2, AT, "other", AT, "x", 0), 0,
	       "renameat2 rename file ~/other as \"other\" -> ~/x symlink as \"x\"");
	LOOK("file");

	/* By another thread, and by another process. */
	if (pthread_create(&thread, NULL, drop, NULL))
		die("pthread_create\n");
	pthread_join(thread, NULL);
	expect("unlinkat delete file ~/x as \"x\"");
	LOOK("absent");
	pid_t pid = must(fork());
	if (pid == 0)
		_exit(syscall(SYS_symlinkat, "d/a", AT, "x") != 0);
	must(waitpid(pid, NULL, 0));
	expect_of(pid, "symlinkat create absent ~/x as \"x\" target=\"d/a\"");
	LOOK("symlink");

	/* What a link on the way leads to. */
	for (int i = 0; i < 3; i++)
		traced(syscall(SYS_faccessat, AT, "x", F_OK), 0,
		       "faccessat stat file ~/x as \"x\" links=~/x>d/a real=~/d/a");
	traced(syscall(SYS_unlinkat, AT, "d/a", 0), 0, "unlinkat delete file ~/d/a as \"d/a\"");
	for (int i = 0; i < 3; i++)
		traced(syscall(SYS_faccessat, AT, "x", F_OK), ENOENT,
		       "faccessat stat absent ~/x as \"x\" links=~/x>d/a real=~/d/a");
	traced(syscall(SYS_openat, AT, "x", O_WRONLY | O_CREAT, 0644), 0,
	       "openat write absent ~/x as \"x\" links=~/x>d/a real=~/d/a");
	for (int i = 0; i < 3; i++)
		traced(syscall(SYS_faccessat, AT, "d/a", F_OK), 0,
		       "faccessat stat file ~/d/a as \"d/a\"");
	return end();
}
