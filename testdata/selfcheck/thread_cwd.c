/* Threads need not share a working directory, nor descriptors. */
#include "selfcheck.h"
#include <pthread.h>
#include <sched.h>

static int both;

static void *leave(void *unused)
{
	(void)unused;
	must(unshare(CLONE_FS | CLONE_FILES));
	traced(syscall(SYS_chdir, "d"), 0, "chdir chdir dir ~/d as \"d\"");
	int e = traced(syscall(SYS_openat, AT_FDCWD, "e", O_PATH), 0,
		       "openat stat dir ~/d/e as \"e\"");
	must(dup2(e, both));
	traced(syscall(SYS_faccessat, AT_FDCWD, "f", F_OK), 0,
	       "faccessat stat file ~/d/f as \"f\"");
	traced(syscall(SYS_faccessat, both, "f", F_OK), ENOENT,
	       "faccessat stat absent ~/d/e/f as \"f\"");
	return NULL;
}

int main(int argc, char **argv)
{
	(void)argc;
	pthread_t thread;

	scratch(argv);
	file("f");
	dir("d");
	file("d/f");
	dir("d/e");
	both = must(open(".", O_PATH));
	begin();

	if (pthread_create(&thread, NULL, leave, NULL))
		die("pthread_create\n");
	pthread_join(thread, NULL);
	traced(syscall(SYS_faccessat, AT_FDCWD, "f", F_OK), 0, "faccessat stat file ~/f as \"f\"");
	traced(syscall(SYS_faccessat, both, "f", F_OK), 0, "faccessat stat file ~/f as \"f\"");
	return end();
}
