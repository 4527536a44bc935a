/*
 * Where relative paths start, again and again, while others change it: another
 * thread, and processes that share the working directory or only inherit it.
 */
#include "selfcheck.h"
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

#define LOOK(line) \
	for (int i_ = 0; i_ < 3; i_++) \
	traced(syscall(SYS_faccessat, AT_FDCWD, "f", F_OK), 0, line)

static void *go(void *where)
{
	must(syscall(SYS_chdir, where));
	return NULL;
}

/* A child that goes elsewhere and ends. */
static void child(int flags, const char *where, const char *line)
{
	pid_t pid = must(syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0));
	if (pid == 0) {
		must(syscall(SYS_chdir, where));
		_exit(syscall(SYS_faccessat, AT_FDCWD, "f", F_OK) != 0);
	}
	int status;
	must(waitpid(pid, &status, 0));
	if (status)
		die("child: status %#x\n", status);
	expect_of(pid, "chdir chdir dir ~/%s as \"%s\"", where, where);
	expect_of(pid, "%s", line);
}

int main(int argc, char **argv)
{
	(void)argc;
	pthread_t thread;

	scratch(argv);
	render("pids");
	file("f");
	dir("d");
	file("d/f");
	dir("d/e");
	file("d/e/f");
	begin();

	LOOK("faccessat stat file ~/f as \"f\"");
	for (int i = 0; i < 20; i++) {
		traced(syscall(SYS_chdir, "d"), 0, "chdir chdir dir ~/d as \"d\"");
		LOOK("faccessat stat file ~/d/f as \"f\"");
		traced(syscall(SYS_chdir, ".."), 0, "chdir chdir dir ~ as \"..\"");
		LOOK("faccessat stat file ~/f as \"f\"");
	}

	/* A thread has it together with us. */
	if (pthread_create(&thread, NULL, go, "d"))
		die("pthread_create\n");
	pthread_join(thread, NULL);
	expect("chdir chdir dir ~/d as \"d\"");
	LOOK("faccessat stat file ~/d/f as \"f\"");
	traced(syscall(SYS_chdir, home), 0, "chdir chdir dir ~");
	LOOK("faccessat stat file ~/f as \"f\"");

	/* A child has its own. */
	child(0, "d", "faccessat stat file ~/d/f as \"f\"");
	LOOK("faccessat stat file ~/f as \"f\"");

	/* But not one that is made with CLONE_FS. */
	child(CLONE_FS, "d", "faccessat stat file ~/d/f as \"f\"");
	LOOK("faccessat stat file ~/d/f as \"f\"");
	traced(syscall(SYS_chdir, home), 0, "chdir chdir dir ~");
	LOOK("faccessat stat file ~/f as \"f\"");

	/* The directory that we are in gets another name, and is removed. */
	traced(syscall(SYS_chdir, "d/e"), 0, "chdir chdir dir ~/d/e as \"d/e\"");
	LOOK("faccessat stat file ~/d/e/f as \"f\"");
	traced(syscall(SYS_renameat2, AT_FDCWD, "../../d", AT_FDCWD, "../../g", 0), 0,
	       "renameat2 rename dir ~/d as \"../../d\" -> ~/g absent as \"../../g\"");
	LOOK("faccessat stat file ~/g/e/f as \"f\"");
	traced(syscall(SYS_unlinkat, AT_FDCWD, "f", 0), 0, "unlinkat delete file ~/g/e/f as \"f\"");
	traced(syscall(SYS_unlinkat, AT_FDCWD, "../e", AT_REMOVEDIR), 0,
	       "unlinkat delete dir ~/g/e as \"../e\"");
	traced(syscall(SYS_faccessat, AT_FDCWD, "f", F_OK), ENOENT,
	       "faccessat stat absent ~/g/e/f as \"f\"");
	return end();
}
