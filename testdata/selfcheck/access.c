/* The access family asks for existence and permission. */
#include "selfcheck.h"

int main(int argc, char **argv)
{
	(void)argc;
	const int at = AT_FDCWD;

	scratch(argv);
	file("f");
	dir("d");
	linkto("no", "dangling");
	int d = must(open("d", O_PATH));
	begin();

	traced(syscall(SYS_faccessat, at, "f", F_OK), 0, "faccessat stat file ~/f as \"f\"");
	traced(syscall(SYS_faccessat, at, "d", X_OK), 0, "faccessat stat dir ~/d as \"d\"");
	traced(syscall(SYS_faccessat, d, "no", F_OK), ENOENT,
	       "faccessat stat absent ~/d/no as \"no\"");
	traced(syscall(SYS_faccessat, at, "dangling", F_OK), ENOENT,
	       "faccessat stat absent ~/dangling as \"dangling\" links=~/dangling>no real=~/no");
	traced(syscall(SYS_faccessat2, at, "f", R_OK, 0), 0, "faccessat2 stat file ~/f as \"f\"");
	traced(syscall(SYS_faccessat2, at, "dangling", F_OK, AT_SYMLINK_NOFOLLOW), 0,
	       "faccessat2 stat symlink ~/dangling as \"dangling\"");
	traced(syscall(SYS_faccessat2, d, "", F_OK, AT_EMPTY_PATH), 0, "faccessat2 stat dir ~/d");

#ifdef SYS_access
	traced(syscall(SYS_access, "f", R_OK | W_OK), 0, "access stat file ~/f as \"f\"");
	traced(syscall(SYS_access, "f", X_OK), EACCES, "access stat file ~/f as \"f\"");
	traced(syscall(SYS_access, "no", F_OK), ENOENT, "access stat absent ~/no as \"no\"");
	traced(syscall(SYS_access, "f/below", F_OK), ENOTDIR,
	       "access stat absent ~/f/below as \"f/below\"");
#endif
	return end();
}
