/* Owners changed, to what they are: that is anybody's right. */
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
	begin();

	traced(syscall(SYS_fchownat, at, "f", -1, -1, 0), 0, "fchownat chattr file ~/f as \"f\"");
	traced(syscall(SYS_fchownat, at, "d", -1, -1, 0), 0, "fchownat chattr dir ~/d as \"d\"");
	traced(syscall(SYS_fchownat, at, "link", -1, -1, AT_SYMLINK_NOFOLLOW), 0,
	       "fchownat chattr symlink ~/link as \"link\"");
	traced(syscall(SYS_fchownat, fd, "", -1, -1, AT_EMPTY_PATH), 0, "fchownat chattr file ~/f");
	traced(syscall(SYS_fchown, fd, -1, -1), 0, "fchown chattr file ~/f");
#ifdef SYS_chown
	traced(syscall(SYS_chown, "link", -1, -1), 0,
	       "chown chattr file ~/link as \"link\" links=~/link>f real=~/f");
	traced(syscall(SYS_lchown, "link", -1, -1), 0, "lchown chattr symlink ~/link as \"link\"");
	traced(syscall(SYS_chown, "no", -1, -1), ENOENT, "chown chattr absent ~/no as \"no\"");
#endif
#ifdef SYS_chown32
	/* The plain names are of the time of 16-bit user ids. */
	traced(syscall(SYS_chown32, "f", -1, -1), 0, "chown32 chattr file ~/f as \"f\"");
	traced(syscall(SYS_lchown32, "link", -1, -1), 0,
	       "lchown32 chattr symlink ~/link as \"link\"");
	traced(syscall(SYS_fchown32, fd, -1, -1), 0, "fchown32 chattr file ~/f");
#endif
	return end();
}
