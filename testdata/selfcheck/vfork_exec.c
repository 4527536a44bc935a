/* vfork, exec, exit: the child shares its parent's memory until it runs a program. */
#include "follow.h"
#include <sys/wait.h>

int main(int argc, char **argv)
{
	if (argc > 2) { /* the child's program */
		begin();
		must(syscall(SYS_faccessat, AT_FDCWD, "f", F_OK));
		_exit(7);
	}
	char ld[8192] = "", *const arguments[] = {argv[0], argv[1], "child", NULL};
	char *const environment[] = {NULL};
	int status;

	scratch(argv);
	render("processes");
	file("f");
	if (interpreter())
		follow(ld, sizeof ld, interpreter());
	begin();

	pid_t child = vfork();
	if (child == 0) {
		syscall(SYS_execve, argv[0], arguments, environment);
		_exit(127);
	}
	must(waitpid(child, &status, 0));
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 7)
		die("child ended with status %#x\n", status);
	step(child, "start parent=%d", getpid());
	expect_of(child, "execve exec file %s", argv[0]);
	expect_interpreter(child, ld);
	step(child, "exec %s", argv[0]);
	expect_of(child, "faccessat stat file ~/f as \"f\"");
	step(child, "exit 7");
	traced(syscall(SYS_faccessat, AT_FDCWD, "f", F_OK), 0, "faccessat stat file ~/f as \"f\"");
	return end();
}
