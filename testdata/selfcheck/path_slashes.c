/* Slashes: doubled, and at the end, where they follow a link and ask for a directory. */
#include "selfcheck.h"

int main(int argc, char **argv)
{
	(void)argc;
	const int at = AT_FDCWD;
	static char b[1024];
	char doubled[8192];

	scratch(argv);
	dir("d");
	file("d/f");
	linkto("d", "link");
	snprintf(doubled, sizeof doubled, "/%s//d///f", home);
	begin();

	traced(syscall(SYS_faccessat, at, "d//f", F_OK), 0,
	       "faccessat stat file ~/d/f as \"d//f\"");
	traced(syscall(SYS_faccessat, at, "./d/./f", F_OK), 0,
	       "faccessat stat file ~/d/f as \"./d/./f\"");
	traced(syscall(SYS_faccessat, at, doubled, F_OK), 0,
	       "faccessat stat file ~/d/f as \"/~//d///f\"");
	traced(syscall(SYS_faccessat, at, "d/", F_OK), 0, "faccessat stat dir ~/d as \"d/\"");
	traced(syscall(SYS_faccessat, at, "/", F_OK), 0, "faccessat stat dir /");
	traced(syscall(SYS_faccessat, at, "//", F_OK), 0, "faccessat stat dir / as \"//\"");

	/* lstat of "link/" is a stat of the directory. */
	traced(syscall(SYS_fstatat_, at, "link/", b, AT_SYMLINK_NOFOLLOW), 0,
	       FSTATAT " stat dir ~/link as \"link/\" links=~/link>d real=~/d");
	traced(syscall(SYS_fstatat_, at, "link/.", b, AT_SYMLINK_NOFOLLOW), 0,
	       FSTATAT " stat dir ~/link as \"link/.\" links=~/link>d real=~/d");

	traced(syscall(SYS_mkdirat, at, "new/", 0755), 0, "mkdirat create absent ~/new as \"new/\"");
	traced(syscall(SYS_unlinkat, at, "new//", AT_REMOVEDIR), 0,
	       "unlinkat delete dir ~/new as \"new//\"");
	traced(syscall(SYS_faccessat, at, "no/", F_OK), ENOENT,
	       "faccessat stat absent ~/no as \"no/\"");
	return end();
}
