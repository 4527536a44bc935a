/* The leader of the threads ends first: its /proc/PID/cwd and fd end with it. */
#include "selfcheck.h"
#include <pthread.h>
#include <sched.h>

static void *stay(void *d)
{
	char path[64], line[512], state = 0;

	/* Until the leader is a zombie; its stat file is opened before begin(). */
	snprintf(path, sizeof path, "/proc/%d/stat", getpid());
	int stat = must(open(path, O_RDONLY));
	while (state != 'Z') {
		ssize_t n = must(pread(stat, line, sizeof line - 1, 0));
		line[n] = 0;
		char *name_end = strrchr(line, ')');
		state = name_end ? name_end[2] : 0;
		sched_yield();
	}
	begin();
	traced(syscall(SYS_faccessat, AT_FDCWD, "f", F_OK), 0, "faccessat stat file ~/f as \"f\"");
	traced(syscall(SYS_faccessat, *(int *)d, "f", F_OK), 0,
	       "faccessat stat file ~/d/f as \"f\"");
	traced(syscall(SYS_chdir, "d"), 0, "chdir chdir dir ~/d as \"d\"");
	traced(syscall(SYS_faccessat, AT_FDCWD, "f", F_OK), 0,
	       "faccessat stat file ~/d/f as \"f\"");
	end();
	_exit(0);
}

int main(int argc, char **argv)
{
	(void)argc;
	static int d;
	pthread_t thread;

	scratch(argv);
	file("f");
	dir("d");
	file("d/f");
	d = must(open("d", O_PATH));
	if (pthread_create(&thread, NULL, stay, &d))
		die("pthread_create\n");
	pthread_exit(NULL);
}
