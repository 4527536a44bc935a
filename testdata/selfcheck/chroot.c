/* In a chroot "/" is another directory: paths in the record are the outer ones. */
#include "selfcheck.h"

int main(int argc, char **argv)
{
	(void)argc;
	const int at = AT_FDCWD;

	scratch(argv);
	dir("root");
	dir("root/d");
	file("root/d/f");
	linkto("/d/f", "root/inside");
	linkto("/nowhere", "root/d/dangling");
	int outside = must(open("/", O_PATH));
	int cwd = must(open(".", O_PATH));
	if (geteuid() != 0)
		skip("chroot needs root\n");
	begin();

	traced(syscall(SYS_chroot, "root"), 0, "chroot chdir dir ~/root as \"root\"");

	/* The working directory is outside still. */
	traced(syscall(SYS_faccessat, at, "root/d/f", F_OK), 0,
	       "faccessat stat file ~/root/d/f as \"root/d/f\"");

	traced(syscall(SYS_chdir, "/"), 0, "chdir chdir dir ~/root as \"/\"");
	traced(syscall(SYS_faccessat, at, "/d/f", F_OK), 0,
	       "faccessat stat file ~/root/d/f as \"/d/f\"");
	traced(syscall(SYS_faccessat, at, "d/f", F_OK), 0,
	       "faccessat stat file ~/root/d/f as \"d/f\"");
	traced(syscall(SYS_faccessat, at, "../../d/f", F_OK), 0,
	       "faccessat stat file ~/root/d/f as \"../../d/f\"");
	traced(syscall(SYS_faccessat, at, "/inside", F_OK), 0,
	       "faccessat stat file ~/root/inside as \"/inside\" "
	       "links=~/root/inside>/d/f real=~/root/d/f");
	traced(syscall(SYS_faccessat, at, "d/dangling", F_OK), ENOENT,
	       "faccessat stat absent ~/root/d/dangling as \"d/dangling\" "
	       "links=~/root/d/dangling>/nowhere real=~/root/nowhere");
	traced(syscall(SYS_faccessat, at, "/no/f", F_OK), ENOENT,
	       "faccessat stat absent ~/root/no/f as \"/no/f\"");

	/* Out again, through directories that were opened before. */
	traced(syscall(SYS_fchdir, outside), 0, "fchdir chdir dir /");
	traced(syscall(SYS_chroot, "."), 0, "chroot chdir dir / as \".\"");
	traced(syscall(SYS_fchdir, cwd), 0, "fchdir chdir dir ~");
	traced(syscall(SYS_faccessat, at, "root/d/f", F_OK), 0,
	       "faccessat stat file ~/root/d/f as \"root/d/f\"");
	return end();
}
