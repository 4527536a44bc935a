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

	/* It is opened by a descriptor of its mount: any, the working directory too. */
	HANDLE(AT_FDCWD, "f", 0);
	expect("name_to_handle_at stat file ~/f as \"f\"");
	int here = must(syscall(SYS_openat, AT_FDCWD, ".", O_RDONLY | O_DIRECTORY));
	expect("openat stat dir ~ as \".\"");
	untraced(syscall(SYS_open_by_handle_at, 999, &h, O_RDONLY), ANY);
	untraced(syscall(SYS_open_by_handle_at, -1, &h, O_RDONLY), ANY);
	if (geteuid() == 0) {
		traced(syscall(SYS_open_by_handle_at, AT_FDCWD, &h, O_RDONLY), 0,
		       "open_by_handle_at read file ~/f");
		traced(syscall(SYS_open_by_handle_at, here, &h, O_PATH), 0,
		       "open_by_handle_at stat file ~/f");
	} else { /* without a capability it may not */
		untraced(syscall(SYS_open_by_handle_at, AT_FDCWD, &h, O_RDONLY), EPERM);
	}
	return end();
}
