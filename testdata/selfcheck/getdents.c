/* A directory is listed by getdents, and by nothing else. */
#include "selfcheck.h"

int main(int argc, char **argv)
{
	(void)argc;
	static char buffer[4096];

	scratch(argv);
	dir("d");
	file("d/f");
	linkto("d", "link");
	begin();

	int d = traced(syscall(SYS_openat, AT_FDCWD, "link", O_RDONLY | O_DIRECTORY), 0,
		       "openat stat dir ~/link as \"link\" links=~/link>d real=~/d");
	traced(syscall(SYS_getdents64, d, buffer, sizeof buffer), 0, "getdents64 list dir ~/d");
	traced(syscall(SYS_getdents64, d, buffer, sizeof buffer), 0, "getdents64 list dir ~/d");
#ifdef SYS_getdents
	must(lseek(d, 0, SEEK_SET));
	traced(syscall(SYS_getdents, d, buffer, sizeof buffer), 0, "getdents list dir ~/d");
#endif
#ifdef __i386__
	must(lseek(d, 0, SEEK_SET));
	traced(syscall(SYS_readdir, d, buffer, 1), 0, "readdir list dir ~/d");
#endif
	untraced(syscall(SYS_getdents64, 999, buffer, sizeof buffer), EBADF);

	/* The directory moves, and the descriptor with it. */
	traced(syscall(SYS_renameat2, AT_FDCWD, "d", AT_FDCWD, "e", 0), 0,
	       "renameat2 rename dir ~/d as \"d\" -> ~/e absent as \"e\"");
	traced(syscall(SYS_getdents64, d, buffer, sizeof buffer), 0, "getdents64 list dir ~/e");
	return end();
}
