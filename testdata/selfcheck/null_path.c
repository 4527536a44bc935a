/* Since Linux 6.11, with AT_EMPTY_PATH a NULL path is an empty one. */
#include "selfcheck.h"

int main(int argc, char **argv)
{
	(void)argc;
	static char b[1024];

	scratch(argv);
	file("f");
	int f = must(open("f", O_RDONLY));
	if (syscall(SYS_statx, f, NULL, AT_EMPTY_PATH, 0x7ff, b) == -1 && errno == EFAULT)
		skip("this kernel has no NULL paths\n");
	begin();

	traced(syscall(SYS_statx, f, NULL, AT_EMPTY_PATH, 0x7ff, b), 0, "statx stat file ~/f");
	traced(syscall(SYS_fstatat_, f, NULL, b, AT_EMPTY_PATH), 0, FSTATAT " stat file ~/f");
	traced(syscall(SYS_fstatat_, f, NULL, b, AT_EMPTY_PATH | AT_NO_AUTOMOUNT), 0,
	       FSTATAT " stat file ~/f");
	untraced(syscall(SYS_statx, f, NULL, 0, 0x7ff, b), EFAULT);
	untraced(syscall(SYS_fstatat_, f, NULL, b, 0), EFAULT);
	untraced(syscall(SYS_openat, AT_FDCWD, NULL, O_RDONLY), EFAULT);

	/* Most calls with AT_EMPTY_PATH take an empty path, but not NULL. */
	untraced(syscall(SYS_faccessat2, f, NULL, R_OK, AT_EMPTY_PATH), EFAULT);
	untraced(syscall(SYS_fchownat, f, NULL, -1, -1, AT_EMPTY_PATH), EFAULT);
	untraced(syscall(SYS_fchmodat2, f, NULL, 0644, AT_EMPTY_PATH), EFAULT);
	untraced(syscall(SYS_linkat, f, NULL, AT_FDCWD, "g", AT_EMPTY_PATH), EFAULT);
	untraced(syscall(SYS_execveat, f, NULL, NULL, NULL, AT_EMPTY_PATH), EFAULT);
	return end();
}
