/* Modes changed, by name and by descriptor. */
#include "selfcheck.h"

int main(int argc, char **argv)
{
	(void)argc;
	const int at = AT_FDCWD;

	scratch(argv);
	file("f");
	dir("d");
	linkto("f", "link");
	int fd = must(open("f", O_RDONLY));
	int d = must(open("d", O_RDONLY));
	begin();

	traced(syscall(SYS_fchmodat, at, "f", 0600), 0, "fchmodat chattr file ~/f as \"f\"");
	traced(syscall(SYS_fchmodat, at, "link", 0600), 0,
	       "fchmodat chattr file ~/link as \"link\" links=~/link>f real=~/f");
	traced(syscall(SYS_fchmodat, d, "no", 0600), ENOENT,
	       "fchmodat chattr absent ~/d/no as \"no\"");
	traced(syscall(SYS_fchmod, fd, 0644), 0, "fchmod chattr file ~/f");
	traced(syscall(SYS_fchmod, d, 0700), 0, "fchmod chattr dir ~/d");

	/* Since Linux 6.6: before, the call fails, but is made all the same. */
	traced(syscall(SYS_fchmodat2, at, "f", 0600, 0), ANY, "fchmodat2 chattr file ~/f as \"f\"");
	traced(syscall(SYS_fchmodat2, at, "link", 0600, AT_SYMLINK_NOFOLLOW), ANY,
	       "fchmodat2 chattr symlink ~/link as \"link\"");
	traced(syscall(SYS_fchmodat2, d, "", 0755, AT_EMPTY_PATH), ANY, "fchmodat2 chattr dir ~/d");
#ifdef SYS_chmod
	traced(syscall(SYS_chmod, "f", 0644), 0, "chmod chattr file ~/f as \"f\"");
	traced(syscall(SYS_chmod, "no", 0644), ENOENT, "chmod chattr absent ~/no as \"no\"");
#endif
	return end();
}
