/*
 * A program that may be executed but not read is opaque to all but root: neither
 * its interpreter nor what it does can be told, which the record has to say.
 */
#include "follow.h"
#include <sys/wait.h>

static void copy(const char *from, const char *to)
{
	static char b[1 << 16];
	int in = must(open(from, O_RDONLY)), out_fd = must(open(to, O_WRONLY | O_CREAT, 0700));
	ssize_t n;

	while ((n = must(read(in, b, sizeof b))) > 0)
		must(write(out_fd, b, n));
	must(fchmod(out_fd, 0111));
	close(in);
	close(out_fd);
}

int main(int argc, char **argv)
{
	const int root = geteuid() == 0;
	char ld[8192] = "", *const arguments[] = {"x", "scratch", "child", NULL};
	char *const none[] = {NULL};
	int status;

	if (argc > 2) {
		resume(1);
		begin();
		must(syscall(SYS_faccessat, AT_FDCWD, "f", F_OK));
		_exit(0);
	}
	scratch(argv);
	render("pids");
	if (!root)
		render("incomplete opaque_process");
	file("f");
	copy(argv[0], "program");
	if (interpreter())
		follow(ld, sizeof ld, interpreter());
	begin();

	pid_t child = must(fork());
	if (child == 0) {
		syscall(SYS_execve, "./program", arguments, none);
		_exit(127);
	}
	must(waitpid(child, &status, 0));
	if (status)
		die("child ended with status %#x\n", status);
	expect_of(child, "execve exec file ~/program as \"./program\"");
	if (root) {
		expect_interpreter(child, ld);
		expect_of(child, "faccessat stat file ~/f as \"f\"");
	}
	traced(syscall(SYS_faccessat, AT_FDCWD, "f", F_OK), 0, "faccessat stat file ~/f as \"f\"");
	return end();
}
