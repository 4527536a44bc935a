/* The same path again, after the program put something else in its way. */
#include "selfcheck.h"

#define EXCHANGE 2

int main(int argc, char **argv)
{
	(void)argc;
	const int at = AT_FDCWD;

	scratch(argv);
	dir("d");
	dir("d/e");
	file("d/e/f");
	dir("other");
	dir("other/e");
	file("other/e/f");
	linkto("other", "link");
	begin();

	traced(syscall(SYS_faccessat, at, "d/e/f", F_OK), 0,
	       "faccessat stat file ~/d/e/f as \"d/e/f\"");

	/* A directory and a link change places, and back. */
	for (int i = 0; i < 2; i++) {
		traced(syscall(SYS_renameat2, at, "d", at, "link", EXCHANGE), 0,
		       i == 0 ? "renameat2 rename dir ~/d as \"d\" -> ~/link symlink as \"link\""
			      : "renameat2 rename symlink ~/d as \"d\" -> ~/link dir as \"link\"");
		if (i == 0)
			traced(syscall(SYS_faccessat, at, "d/e/f", F_OK), 0,
			       "faccessat stat file ~/other/e/f as \"d/e/f\" links=~/d>other");
		else
			traced(syscall(SYS_faccessat, at, "d/e/f", F_OK), 0,
			       "faccessat stat file ~/d/e/f as \"d/e/f\"");
	}

	/* It moves away with all that is in it, and a link takes its place. */
	traced(syscall(SYS_renameat2, at, "d", at, "gone", 0), 0,
	       "renameat2 rename dir ~/d as \"d\" -> ~/gone absent as \"gone\"");
	traced(syscall(SYS_faccessat, at, "d/e/f", F_OK), ENOENT,
	       "faccessat stat absent ~/d/e/f as \"d/e/f\"");
	traced(syscall(SYS_symlinkat, "gone", at, "d"), 0,
	       "symlinkat create absent ~/d as \"d\" target=\"gone\"");
	traced(syscall(SYS_faccessat, at, "d/e/f", F_OK), 0,
	       "faccessat stat file ~/gone/e/f as \"d/e/f\" links=~/d>gone");

	/* A link becomes a directory, a directory a file. */
	traced(syscall(SYS_unlinkat, at, "d", 0), 0, "unlinkat delete symlink ~/d as \"d\"");
	traced(syscall(SYS_mkdirat, at, "d", 0755), 0, "mkdirat create absent ~/d as \"d\"");
	traced(syscall(SYS_faccessat, at, "d/e", F_OK), ENOENT,
	       "faccessat stat absent ~/d/e as \"d/e\"");
	traced(syscall(SYS_unlinkat, at, "d", AT_REMOVEDIR), 0, "unlinkat delete dir ~/d as \"d\"");
	traced(syscall(SYS_openat, at, "d", O_WRONLY | O_CREAT, 0644), 0,
	       "openat write absent ~/d as \"d\"");
	traced(syscall(SYS_faccessat, at, "d/e", F_OK), ENOTDIR,
	       "faccessat stat absent ~/d/e as \"d/e\"");
	return end();
}
