/*
 * Attaches to children that are stopped, as often as the argument says. An attach to a
 * stopped process returns when the process is a tracee that is stopped: what a tracer then
 * asks for must not fail. Prints how often it did.
 */
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int failed = 0;

	for (int n = argc > 1 ? atoi(argv[1]) : 1; n > 0; n--) {
		siginfo_t info;
		int status;
		pid_t child = fork();

		if (child == 0) {
			raise(SIGSTOP);
			_exit(0);
		}
		waitpid(child, &status, WUNTRACED);
		if (ptrace(PTRACE_ATTACH, child, NULL, NULL)) {
			perror("attach");
			return 1;
		}
		failed += ptrace(PTRACE_GETSIGINFO, child, NULL, &info) && ptrace(PTRACE_SETOPTIONS, child, NULL, NULL);
		kill(child, SIGKILL);
		waitpid(child, &status, __WALL);
	}
	printf("%d failed\n", failed);
	return 0;
}
