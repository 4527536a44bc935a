/* A child that ptrace is not told of still makes calls, and they are recorded. */
#include "selfcheck.h"
#include <sched.h>
#include <sys/wait.h>

int main(int argc, char **argv)
{
	(void)argc;
	int status;

	scratch(argv);
	render("pids");
	file("f");
	begin();

	pid_t child = must(syscall(SYS_clone, CLONE_UNTRACED | SIGCHLD, 0, 0, 0, 0));
	if (child == 0) {
		out_len = 0;
		traced(syscall(SYS_faccessat, AT_FDCWD, "f", F_OK), 0,
		       "faccessat stat file ~/f as \"f\"");
		traced(syscall(SYS_mkdirat, AT_FDCWD, "d", 0755), 0,
		       "mkdirat create absent ~/d as \"d\"");
		flush();
		_exit(3);
	}
	must(waitpid(child, &status, 0));
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 3)
		die("child ended with status %#x\n", status);
	traced(syscall(SYS_faccessat, AT_FDCWD, "d", F_OK), 0, "faccessat stat dir ~/d as \"d\"");
	return end();
}
