/* A handle is made from a path, which it follows only if told to. */
#include "selfcheck.h"

int main(int argc, char **argv)
{
	(void)argc;
	/* fcntl.h's struct file_handle, with room for the handle. */
	struct {
		uint32_t bytes;
		int32_t type;
		char handle[128];
	} h;
	int mount;

	scratch(argv);
	file("f");
	linkto("f", "link");
	int fd = must(open("f", O_PATH));
	begin();

#define HANDLE(dirfd, path, flags) \
	(h.bytes = sizeof h.handle, \
	 syscall(SYS_name_to_handle_at, dirfd, path, &h, &mount, flags))

	traced(HANDLE(AT_FDCWD, "f", 0), ANY, "name_to_handle_at stat file ~/f as \"f\"");
	traced(HANDLE(AT_FDCWD, "link", 0), ANY,
	       "name_to_handle_at stat symlink ~/link as \"link\"");
	traced(HANDLE(AT_FDCWD, "link", AT_SYMLINK_FOLLOW), ANY,
	       "name_to_handle_at stat file ~/link as \"link\" links=~/link>f real=~/f");
	traced(HANDLE(fd, "", AT_EMPTY_PATH), ANY, "name_to_handle_at stat file ~/f");
	traced(HANDLE(AT_FDCWD, "no", 0), ENOENT, "name_to_handle_at stat absent ~/no as \"no\"");
	return end();
}
