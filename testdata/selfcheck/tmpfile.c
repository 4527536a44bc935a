/* A file without a name is written in its directory, and may get a name later. */
#include "selfcheck.h"

int main(int argc, char **argv)
{
	(void)argc;
	char self[64];

	scratch(argv);
	render("nolinks"); /* they name an inode */
	dir("d");
	int probe = open("d", O_TMPFILE | O_WRONLY, 0644);
	if (probe < 0)
		skip("O_TMPFILE on this file system: %s\n", strerror(errno));
	close(probe);
	begin();

	int fd = traced(syscall(SYS_openat, AT_FDCWD, "d", O_TMPFILE | O_RDWR, 0644), 0,
			"openat write dir ~/d as \"d\"");
	snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
	traced(syscall(SYS_linkat, AT_FDCWD, self, AT_FDCWD, "named", AT_SYMLINK_FOLLOW), 0,
	       "linkat create file /proc/%d/fd/%d as \"%s\" -> ~/named absent as \"named\"",
	       getpid(), fd, self);
	return end();
}
