/* A mark looks a path up; its mask is 64 bits wide, which moves i386's arguments. */
#include "selfcheck.h"
#include <sys/fanotify.h>

#ifndef FAN_REPORT_FID
#define FAN_REPORT_FID 0x200
#endif

static long mark(int fd, unsigned flags, uint64_t mask, int dirfd, const char *path)
{
#ifdef __i386__
	return syscall(SYS_fanotify_mark, fd, flags, (uint32_t)mask, (uint32_t)(mask >> 32),
		       dirfd, path);
#else
	return syscall(SYS_fanotify_mark, fd, flags, mask, dirfd, path);
#endif
}

int main(int argc, char **argv)
{
	(void)argc;
	scratch(argv);
	dir("d");
	file("d/f");
	linkto("f", "d/link");
	int d = must(open("d", O_RDONLY));
	int fd = syscall(SYS_fanotify_init, FAN_CLASS_NOTIF | FAN_REPORT_FID, O_RDONLY);
	if (fd < 0)
		skip("fanotify: %s\n", strerror(errno));
	if (mark(fd, FAN_MARK_ADD, FAN_MODIFY, d, "f") < 0)
		skip("fanotify on this file system: %s\n", strerror(errno));
	begin();

	traced(mark(fd, FAN_MARK_ADD, FAN_MODIFY, d, "f"), 0, "fanotify_mark stat file ~/d/f as \"f\"");
	traced(mark(fd, FAN_MARK_ADD, FAN_MODIFY, AT_FDCWD, "d/link"), 0,
	       "fanotify_mark stat file ~/d/link as \"d/link\" links=~/d/link>f real=~/d/f");
	traced(mark(fd, FAN_MARK_ADD | FAN_MARK_DONT_FOLLOW, FAN_MODIFY, d, "link"), 0,
	       "fanotify_mark stat symlink ~/d/link as \"link\"");
	traced(mark(fd, FAN_MARK_ADD, FAN_MODIFY, d, "no"), ENOENT,
	       "fanotify_mark stat absent ~/d/no as \"no\"");
	traced(mark(fd, FAN_MARK_ADD, FAN_MODIFY, d, NULL), 0, "fanotify_mark stat dir ~/d");
	untraced(mark(fd, FAN_MARK_ADD, FAN_MODIFY, AT_FDCWD, NULL), EBADF);
	return end();
}
