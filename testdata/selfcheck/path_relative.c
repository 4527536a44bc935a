/* What a path is relative to: the working directory, or a directory descriptor. */
#include "selfcheck.h"

int main(int argc, char **argv)
{
	(void)argc;
	const int at = AT_FDCWD;
	char absolute[4096];

	scratch(argv);
	file("f");
	dir("d");
	dir("d/e");
	file("d/e/f");
	int d = must(open("d", O_RDONLY | O_DIRECTORY));
	int path = must(open("d/e", O_PATH));
	int f = must(open("f", O_RDONLY));
	snprintf(absolute, sizeof absolute, "%s/f", home);
	begin();

	traced(syscall(SYS_faccessat, at, absolute, F_OK), 0, "faccessat stat file ~/f");
	traced(syscall(SYS_faccessat, at, "f", F_OK), 0, "faccessat stat file ~/f as \"f\"");
	traced(syscall(SYS_faccessat, at, ".", F_OK), 0, "faccessat stat dir ~ as \".\"");
	traced(syscall(SYS_faccessat, d, "e/f", F_OK), 0, "faccessat stat file ~/d/e/f as \"e/f\"");
	traced(syscall(SYS_faccessat, path, "f", F_OK), 0, "faccessat stat file ~/d/e/f as \"f\"");
	traced(syscall(SYS_faccessat, path, "../../f", F_OK), 0,
	       "faccessat stat file ~/f as \"../../f\"");
	traced(syscall(SYS_faccessat, path, ".", F_OK), 0, "faccessat stat dir ~/d/e as \".\"");

	/* An absolute path does not look at the descriptor, however wrong. */
	traced(syscall(SYS_faccessat, 999, absolute, F_OK), 0, "faccessat stat file ~/f");
	untraced(syscall(SYS_faccessat, 999, "f", F_OK), EBADF);

	/* A descriptor of a file is a missing directory. */
	traced(syscall(SYS_faccessat, f, "x", F_OK), ENOTDIR, "faccessat stat absent ~/f/x as \"x\"");

	/* The directory moves, and the descriptor with it. */
	must(syscall(SYS_renameat2, at, "d", at, "D", 0));
	expect("renameat2 rename dir ~/d as \"d\" -> ~/D absent as \"D\"");
	traced(syscall(SYS_faccessat, path, "f", F_OK), 0, "faccessat stat file ~/D/e/f as \"f\"");
	return end();
}
