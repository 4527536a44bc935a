/* With AT_EMPTY_PATH an empty path is the descriptor, whatever that is. */
#include "selfcheck.h"

int main(int argc, char **argv)
{
	(void)argc;
	static char b[1024];

	scratch(argv);
	file("f");
	dir("d");
	linkto("f", "link");
	int f = must(open("f", O_RDONLY));
	int path = must(open("f", O_PATH));
	int d = must(open("d", O_RDONLY));
	int link = must(open("link", O_PATH | O_NOFOLLOW));
	begin();

	traced(syscall(SYS_fstatat_, f, "", b, AT_EMPTY_PATH), 0, FSTATAT " stat file ~/f");
	traced(syscall(SYS_fstatat_, path, "", b, AT_EMPTY_PATH), 0, FSTATAT " stat file ~/f");
	traced(syscall(SYS_fstatat_, d, "", b, AT_EMPTY_PATH), 0, FSTATAT " stat dir ~/d");
	traced(syscall(SYS_fstatat_, link, "", b, AT_EMPTY_PATH), 0, FSTATAT " stat symlink ~/link");
	traced(syscall(SYS_fstatat_, AT_FDCWD, "", b, AT_EMPTY_PATH), 0, FSTATAT " stat dir ~");
	traced(syscall(SYS_statx, f, "", AT_EMPTY_PATH, 0x7ff, b), 0, "statx stat file ~/f");

	/* The flag takes nothing from a path that is not empty. */
	traced(syscall(SYS_fstatat_, AT_FDCWD, "f", b, AT_EMPTY_PATH), 0,
	       FSTATAT " stat file ~/f as \"f\"");

	/* Without it there is nothing that the path could name. */
	untraced(syscall(SYS_fstatat_, f, "", b, 0), ENOENT);
	untraced(syscall(SYS_statx, f, "", 0, 0x7ff, b), ENOENT);
	untraced(syscall(SYS_openat, AT_FDCWD, "", O_RDONLY), ENOENT);
	untraced(syscall(SYS_mkdirat, AT_FDCWD, "", 0755), ENOENT);
	untraced(syscall(SYS_unlinkat, AT_FDCWD, "", 0), ENOENT);
	untraced(syscall(SYS_chdir, ""), ENOENT);
#ifdef SYS_stat
	untraced(syscall(SYS_stat, "", b), ENOENT);
#endif
	return end();
}
