/* Times changed, by name, by descriptor, and by a descriptor without a path. */
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
	int d = must(open("d", O_PATH));
	begin();

	traced(syscall(SYS_utimensat, at, "f", NULL, 0), 0, "utimensat chattr file ~/f as \"f\"");
	traced(syscall(SYS_utimensat, at, "link", NULL, AT_SYMLINK_NOFOLLOW), 0,
	       "utimensat chattr symlink ~/link as \"link\"");
	traced(syscall(SYS_utimensat, d, "no", NULL, 0), ENOENT,
	       "utimensat chattr absent ~/d/no as \"no\"");
	traced(syscall(SYS_utimensat, fd, NULL, NULL, 0), 0, "utimensat chattr file ~/f");
	traced(syscall(SYS_utimensat, d, "", NULL, AT_EMPTY_PATH), ANY, "utimensat chattr dir ~/d");
	untraced(syscall(SYS_utimensat, at, NULL, NULL, 0), EFAULT);
	untraced(syscall(SYS_utimensat, fd, NULL, NULL, AT_EMPTY_PATH), EINVAL);
	untraced(syscall(SYS_utimensat, d, "", NULL, 0), ENOENT);
#ifdef SYS_utimensat_time64
	traced(syscall(SYS_utimensat_time64, at, "f", NULL, 0), 0,
	       "utimensat_time64 chattr file ~/f as \"f\"");
#endif
#ifdef SYS_utime
	traced(syscall(SYS_utime, "f", NULL), 0, "utime chattr file ~/f as \"f\"");
	traced(syscall(SYS_utimes, "link", NULL), 0,
	       "utimes chattr file ~/link as \"link\" links=~/link>f real=~/f");
	traced(syscall(SYS_futimesat, at, "d", NULL), 0, "futimesat chattr dir ~/d as \"d\"");
	traced(syscall(SYS_futimesat, fd, NULL, NULL), 0, "futimesat chattr file ~/f");
	untraced(syscall(SYS_futimesat, at, NULL, NULL), EFAULT);
	traced(syscall(SYS_utime, "no", NULL), ENOENT, "utime chattr absent ~/no as \"no\"");
#endif
	return end();
}
