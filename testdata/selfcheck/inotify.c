/* A watch looks a path up, as stat does. */
#include "selfcheck.h"
#include <sys/inotify.h>

int main(int argc, char **argv)
{
	(void)argc;
	scratch(argv);
	dir("d");
	file("f");
	linkto("f", "link");
	int fd = inotify_init1(IN_CLOEXEC);
	if (fd < 0)
		skip("inotify: %s\n", strerror(errno));
	begin();

	traced(syscall(SYS_inotify_add_watch, fd, "d", IN_CREATE), 0,
	       "inotify_add_watch stat dir ~/d as \"d\"");
	traced(syscall(SYS_inotify_add_watch, fd, "link", IN_MODIFY), 0,
	       "inotify_add_watch stat file ~/link as \"link\" links=~/link>f real=~/f");
	traced(syscall(SYS_inotify_add_watch, fd, "link", IN_MODIFY | IN_DONT_FOLLOW), 0,
	       "inotify_add_watch stat symlink ~/link as \"link\"");
	traced(syscall(SYS_inotify_add_watch, fd, "no", IN_MODIFY), ENOENT,
	       "inotify_add_watch stat absent ~/no as \"no\"");
	return end();
}
