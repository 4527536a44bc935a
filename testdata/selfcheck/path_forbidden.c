/* A directory that may not be searched: what is in it cannot be told. */
#include "selfcheck.h"

int main(int argc, char **argv)
{
	(void)argc;
	const int at = AT_FDCWD;
	const int root = geteuid() == 0;
	const char *state = root ? "file" : "unknown";

	scratch(argv);
	dir("d");
	dir("d/e");
	file("d/e/f");
	must(chmod("d", 0));
	begin();

	traced(syscall(SYS_faccessat, at, "d", F_OK), 0, "faccessat stat dir ~/d as \"d\"");
	traced(syscall(SYS_faccessat, at, "d/e/f", F_OK), root ? 0 : EACCES,
	       "faccessat stat %s ~/d/e/f as \"d/e/f\"", state);
	traced(syscall(SYS_faccessat, at, "d/no", F_OK), root ? ENOENT : EACCES,
	       "faccessat stat %s ~/d/no as \"d/no\"", root ? "absent" : "unknown");
	traced(syscall(SYS_openat, at, "d/e/f", O_RDONLY), root ? 0 : EACCES,
	       "openat read %s ~/d/e/f as \"d/e/f\"", state);
	traced(syscall(SYS_fchmodat, at, "d", 0755), 0, "fchmodat chattr dir ~/d as \"d\"");
	traced(syscall(SYS_faccessat, at, "d/e/f", F_OK), 0,
	       "faccessat stat file ~/d/e/f as \"d/e/f\"");
	return end();
}
