/*
 * Makes children that ptrace is not told of, more than fstrace has descriptors for
 * where it may open 64 files: the end of some of them nobody sees. They live at the
 * same time, as long as a pipe is open.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CHILDREN = 64 };

int main(void)
{
	int hold[2], ready[2];
	char c;

	if (pipe(hold) || pipe(ready)) {
		perror("pipe");
		return 1;
	}
	for (int i = 0; i < CHILDREN; i++) {
		long pid = syscall(SYS_clone, CLONE_UNTRACED | SIGCHLD, 0, 0, 0, 0);
		if (pid < 0) {
			perror("clone");
			return 1;
		}
		if (pid == 0) {
			close(hold[1]);
			syscall(SYS_faccessat, AT_FDCWD, "/", F_OK);
			write(ready[1], "", 1);
			_exit(read(hold[0], &c, 1) != 0);
		}
	}
	for (int i = 0; i < CHILDREN; i++)
		if (read(ready[0], &c, 1) != 1)
			return 1;
	close(hold[1]);
	while (wait(NULL) > 0)
		;
	return 0;
}
