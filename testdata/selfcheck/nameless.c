/* Descriptors of things that have no name in any file system. */
#include "selfcheck.h"
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>

int main(int argc, char **argv)
{
	(void)argc;
	static char b[1024];
	int pipes[2];

	scratch(argv);
	render("nolinks"); /* pipe:[12345] */
	must(pipe(pipes));
	int fds[] = {
		pipes[0],
		must(socket(AF_UNIX, SOCK_STREAM, 0)),
		must(eventfd(0, 0)),
		must(epoll_create1(0)),
		must(syscall(SYS_memfd_create, "memory", 0)),
	};
	char self[64];
	snprintf(self, sizeof self, "/proc/self/fd/%d", pipes[0]);
	begin();

	for (size_t i = 0; i < sizeof fds / sizeof *fds; i++) {
		untraced(syscall(SYS_fstatat_, fds[i], "", b, AT_EMPTY_PATH), 0);
		untraced(syscall(SYS_statx, fds[i], "", AT_EMPTY_PATH, 0x7ff, b), 0);
		untraced(syscall(SYS_fchmod, fds[i], 0600), ANY);
	}
	untraced(syscall(SYS_ftruncate, fds[4], 4096), 0);
	untraced(syscall(SYS_fstatat_, 999, "", b, AT_EMPTY_PATH), EBADF);

	/* Not a directory to start from, either. */
	untraced(syscall(SYS_openat, 999, "f", O_RDONLY), EBADF);
	untraced(syscall(SYS_openat, pipes[0], "f", O_RDONLY), ENOTDIR);

	/* Through /proc a pipe does have a path. */
	traced(syscall(SYS_openat, AT_FDCWD, self, O_RDONLY | O_NONBLOCK), 0,
	       "openat read other /proc/%d/fd/%d as \"%s\"", getpid(), pipes[0], self);
	return end();
}
