/* The stat family: existence and metadata, of a link's target or of the link. */
#include "selfcheck.h"

int main(int argc, char **argv)
{
	(void)argc;
	static char buffer[1024];
	const int at = AT_FDCWD;

	scratch(argv);
	file("f");
	dir("d");
	file("d/f");
	linkto("d/f", "link");
	int d = must(open("d", O_PATH));
	begin();

	traced(syscall(SYS_fstatat_, at, "f", buffer, 0), 0, FSTATAT " stat file ~/f as \"f\"");
	traced(syscall(SYS_fstatat_, d, "f", buffer, 0), 0, FSTATAT " stat file ~/d/f as \"f\"");
	traced(syscall(SYS_fstatat_, at, "no", buffer, 0), ENOENT,
	       FSTATAT " stat absent ~/no as \"no\"");
	traced(syscall(SYS_fstatat_, at, "link", buffer, 0), 0,
	       FSTATAT " stat file ~/link as \"link\" links=~/link>d/f real=~/d/f");
	traced(syscall(SYS_fstatat_, at, "link", buffer, AT_SYMLINK_NOFOLLOW), 0,
	       FSTATAT " stat symlink ~/link as \"link\"");
	traced(syscall(SYS_fstatat_, at, "d", buffer, AT_NO_AUTOMOUNT), 0,
	       FSTATAT " stat dir ~/d as \"d\"");

	traced(syscall(SYS_statx, at, "f", 0, 0x7ff, buffer), 0, "statx stat file ~/f as \"f\"");
	traced(syscall(SYS_statx, d, "f", 0, 0x7ff, buffer), 0, "statx stat file ~/d/f as \"f\"");
	traced(syscall(SYS_statx, at, "link", AT_SYMLINK_NOFOLLOW, 0x7ff, buffer), 0,
	       "statx stat symlink ~/link as \"link\"");
	traced(syscall(SYS_statx, at, "no", 0, 0x7ff, buffer), ENOENT,
	       "statx stat absent ~/no as \"no\"");
	traced(syscall(SYS_statfs, "link", buffer), 0,
	       "statfs stat file ~/link as \"link\" links=~/link>d/f real=~/d/f");

#ifdef SYS_stat
	traced(syscall(SYS_stat, "f", buffer), 0, "stat stat file ~/f as \"f\"");
	traced(syscall(SYS_stat, "d", buffer), 0, "stat stat dir ~/d as \"d\"");
	traced(syscall(SYS_stat, "no", buffer), ENOENT, "stat stat absent ~/no as \"no\"");
	traced(syscall(SYS_stat, "link", buffer), 0,
	       "stat stat file ~/link as \"link\" links=~/link>d/f real=~/d/f");
	traced(syscall(SYS_stat, "/dev/null", buffer), 0, "stat stat other /dev/null");
	traced(syscall(SYS_lstat, "link", buffer), 0, "lstat stat symlink ~/link as \"link\"");
	traced(syscall(SYS_lstat, "f", buffer), 0, "lstat stat file ~/f as \"f\"");
#endif
#ifdef __i386__
	/* The numbers of long ago are still there; inodes may no longer fit. */
	traced(syscall(18, "f", buffer), ANY, "oldstat stat file ~/f as \"f\"");
	traced(syscall(84, "link", buffer), ANY, "oldlstat stat symlink ~/link as \"link\"");
	traced(syscall(SYS_stat64, "f", buffer), 0, "stat64 stat file ~/f as \"f\"");
	traced(syscall(SYS_lstat64, "link", buffer), 0,
	       "lstat64 stat symlink ~/link as \"link\"");
	traced(syscall(SYS_statfs64, "f", 84, buffer), 0, "statfs64 stat file ~/f as \"f\"");
#endif
	return end();
}
