/* ".." is the parent of where a link led to, not of where it stands. */
#include "selfcheck.h"

int main(int argc, char **argv)
{
	(void)argc;
	const int at = AT_FDCWD;

	scratch(argv);
	file("f");
	dir("d");
	dir("d/e");
	file("d/f");
	dir("x");
	linkto("../d/e", "x/link");
	begin();

	traced(syscall(SYS_faccessat, at, "x/link/../f", F_OK), 0,
	       "faccessat stat file ~/d/f as \"x/link/../f\" links=~/x/link>../d/e");
	traced(syscall(SYS_faccessat, at, "x/../f", F_OK), 0,
	       "faccessat stat file ~/f as \"x/../f\"");
	traced(syscall(SYS_faccessat, at, "x/link/..", F_OK), 0,
	       "faccessat stat dir ~/d as \"x/link/..\" links=~/x/link>../d/e");
	traced(syscall(SYS_faccessat, at, "x/link/.", F_OK), 0,
	       "faccessat stat dir ~/x/link as \"x/link/.\" links=~/x/link>../d/e real=~/d/e");
	traced(syscall(SYS_faccessat, at, "/..", F_OK), 0, "faccessat stat dir / as \"/..\"");

	/* What is missing has no parent, whatever comes behind. */
	traced(syscall(SYS_faccessat, at, "no/../f", F_OK), ENOENT,
	       "faccessat stat absent ~/no as \"no/../f\"");
	traced(syscall(SYS_faccessat, at, "d/no/x/../../f", F_OK), ENOENT,
	       "faccessat stat absent ~/d/no as \"d/no/x/../../f\"");
	traced(syscall(SYS_faccessat, at, "no/x/y", F_OK), ENOENT,
	       "faccessat stat absent ~/no/x/y as \"no/x/y\"");
	traced(syscall(SYS_faccessat, at, "f/x", F_OK), ENOTDIR,
	       "faccessat stat absent ~/f/x as \"f/x\"");
	return end();
}
