/* A child that is its parent's sibling: it is whoever runs the program that reaps it. */
#include "selfcheck.h"
#include <sched.h>
#include <signal.h>

int main(int argc, char **argv)
{
	(void)argc;
	scratch(argv);
	render("pids");
	file("f");
	begin();

	pid_t child = must(syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0));
	if (child == 0) {
		out_len = 0;
		traced(syscall(SYS_faccessat, AT_FDCWD, "f", F_OK), 0,
		       "faccessat stat file ~/f as \"f\"");
		flush();
		_exit(0);
	}
	while (kill(child, 0) == 0) /* until it is reaped, which is not for us to do */
		sched_yield();
	traced(syscall(SYS_faccessat, AT_FDCWD, "f", F_OK), 0, "faccessat stat file ~/f as \"f\"");
	return end();
}
