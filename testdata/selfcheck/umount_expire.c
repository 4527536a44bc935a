/* A mount expires if nobody looks at it between two calls: nor does fstrace. */
#include "selfcheck.h"
#include <sys/mount.h>

int main(int argc, char **argv)
{
	(void)argc;
	scratch(argv);
	dir("m");
	if (mount("none", "m", "tmpfs", 0, NULL))
		skip("mount: %s\n", strerror(errno));
	begin();

	for (int i = 0; i < 3; i++) {
		traced(syscall(SYS_umount2, "m", MNT_EXPIRE), EAGAIN, "umount2 stat dir ~/m as \"m\"");
		traced(syscall(SYS_umount2, "m", MNT_EXPIRE), 0, "umount2 stat dir ~/m as \"m\"");
		traced(mount("none", "m", "tmpfs", 0, NULL), 0, "mount stat dir ~/m as \"m\"");
	}
	traced(syscall(SYS_umount2, "m", 0), 0, "umount2 stat dir ~/m as \"m\"");
	return end();
}
