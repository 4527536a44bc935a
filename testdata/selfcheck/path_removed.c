/*
 * A working directory that was removed still is one: nothing is in it, but ".."
 * leads out of it as before.
 */
#include "selfcheck.h"

int main(int argc, char **argv)
{
	(void)argc;
	const int at = AT_FDCWD;

	scratch(argv);
	file("f");
	dir("d");
	dir("d/e");
	int d = must(open("d/e", O_PATH));
	must(chdir("d/e"));
	must(rmdir("../e"));
	begin();

	traced(syscall(SYS_faccessat, at, "f", F_OK), ENOENT,
	       "faccessat stat absent ~/d/e/f as \"f\"");
	traced(syscall(SYS_openat, at, "f", O_WRONLY | O_CREAT, 0644), ENOENT,
	       "openat write absent ~/d/e/f as \"f\"");
	traced(syscall(SYS_faccessat, d, "f", F_OK), ENOENT,
	       "faccessat stat absent ~/d/e/f as \"f\"");
	traced(syscall(SYS_faccessat, at, "../../f", F_OK), 0,
	       "faccessat stat file ~/f as \"../../f\"");
	traced(syscall(SYS_faccessat, at, "..", F_OK), 0, "faccessat stat dir ~/d as \"..\"");

	/* Another one of the same name is not the same. */
	traced(syscall(SYS_mkdirat, at, "../e", 0755), 0,
	       "mkdirat create absent ~/d/e as \"../e\"");
	traced(syscall(SYS_openat, at, "../e/f", O_WRONLY | O_CREAT, 0644), 0,
	       "openat write absent ~/d/e/f as \"../e/f\"");
	traced(syscall(SYS_faccessat, at, "f", F_OK), ENOENT,
	       "faccessat stat absent ~/d/e/f as \"f\"");
	return end();
}
