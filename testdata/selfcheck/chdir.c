/* Where relative paths start: by name, by descriptor, through a link. */
#include "selfcheck.h"

int main(int argc, char **argv)
{
	(void)argc;
	scratch(argv);
	dir("d");
	dir("d/e");
	file("d/e/f");
	linkto("d/e", "link");
	int d = must(open("d", O_PATH));
	begin();

	traced(syscall(SYS_chdir, "d"), 0, "chdir chdir dir ~/d as \"d\"");
	traced(syscall(SYS_faccessat, AT_FDCWD, "e/f", F_OK), 0,
	       "faccessat stat file ~/d/e/f as \"e/f\"");
	traced(syscall(SYS_chdir, "../link"), 0,
	       "chdir chdir dir ~/link as \"../link\" links=~/link>d/e real=~/d/e");
	traced(syscall(SYS_faccessat, AT_FDCWD, "f", F_OK), 0,
	       "faccessat stat file ~/d/e/f as \"f\"");
	traced(syscall(SYS_fchdir, d), 0, "fchdir chdir dir ~/d");
	traced(syscall(SYS_faccessat, AT_FDCWD, "f", F_OK), ENOENT,
	       "faccessat stat absent ~/d/f as \"f\"");
	traced(syscall(SYS_chdir, "e/f"), ENOTDIR, "chdir chdir file ~/d/e/f as \"e/f\"");
	traced(syscall(SYS_chdir, "no"), ENOENT, "chdir chdir absent ~/d/no as \"no\"");
	untraced(syscall(SYS_fchdir, 999), EBADF);
	traced(syscall(SYS_chdir, home), 0, "chdir chdir dir ~");
	return end();
}
