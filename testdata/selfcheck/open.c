/* What an open means depends on its flags and on what is there. */
#include "selfcheck.h"

int main(int argc, char **argv)
{
	(void)argc;
	scratch(argv);
	file("f");
	dir("d");
	must(mknod("fifo", S_IFIFO | 0644, 0));
	linkto("f", "link");
	begin();

	const int at = AT_FDCWD;
	traced(syscall(SYS_openat, at, "f", O_RDONLY), 0, "openat read file ~/f as \"f\"");
	traced(syscall(SYS_openat, at, "f", O_WRONLY), 0, "openat write file ~/f as \"f\"");
	traced(syscall(SYS_openat, at, "f", O_RDWR), 0, "openat write file ~/f as \"f\"");
	traced(syscall(SYS_openat, at, "f", O_RDONLY | O_TRUNC), 0, "openat write file ~/f as \"f\"");
	traced(syscall(SYS_openat, at, "f", O_PATH), 0, "openat stat file ~/f as \"f\"");

	/* The fourth access mode is for ioctl alone, but needs the right to write. */
	traced(syscall(SYS_openat, at, "f", 3), 0, "openat write file ~/f as \"f\"");

	/* O_CREAT writes only where it creates. */
	traced(syscall(SYS_openat, at, "f", O_RDONLY | O_CREAT, 0644), 0,
	       "openat read file ~/f as \"f\"");
	traced(syscall(SYS_openat, at, "new", O_RDONLY | O_CREAT, 0644), 0,
	       "openat write absent ~/new as \"new\"");
	traced(syscall(SYS_openat, at, "new", O_WRONLY | O_CREAT | O_EXCL, 0644), EEXIST,
	       "openat write file ~/new as \"new\"");

	traced(syscall(SYS_openat, at, "no", O_RDONLY), ENOENT, "openat read absent ~/no as \"no\"");
	traced(syscall(SYS_openat, at, "no", O_WRONLY), ENOENT, "openat write absent ~/no as \"no\"");

	/* A directory is opened for its metadata: only getdents lists it. */
	traced(syscall(SYS_openat, at, "d", O_RDONLY), 0, "openat stat dir ~/d as \"d\"");
	traced(syscall(SYS_openat, at, "d", O_RDONLY | O_DIRECTORY), 0,
	       "openat stat dir ~/d as \"d\"");
	traced(syscall(SYS_openat, at, "fifo", O_RDONLY | O_NONBLOCK), 0,
	       "openat read other ~/fifo as \"fifo\"");

	/* With O_NOFOLLOW it is the link itself that is there. */
	traced(syscall(SYS_openat, at, "link", O_RDONLY), 0,
	       "openat read file ~/link as \"link\" links=~/link>f real=~/f");
	traced(syscall(SYS_openat, at, "link", O_RDONLY | O_NOFOLLOW), ELOOP,
	       "openat read symlink ~/link as \"link\"");
	traced(syscall(SYS_openat, at, "link", O_PATH | O_NOFOLLOW), 0,
	       "openat stat symlink ~/link as \"link\"");
	traced(syscall(SYS_openat, at, "link", O_WRONLY | O_CREAT | O_EXCL, 0644), EEXIST,
	       "openat write symlink ~/link as \"link\"");

#ifdef SYS_open
	traced(syscall(SYS_open, "f", O_RDONLY), 0, "open read file ~/f as \"f\"");
	traced(syscall(SYS_open, "no", O_RDONLY), ENOENT, "open read absent ~/no as \"no\"");
	traced(syscall(SYS_open, "made", O_RDWR | O_CREAT, 0644), 0,
	       "open write absent ~/made as \"made\"");
	traced(syscall(SYS_creat, "made", 0644), 0, "creat write file ~/made as \"made\"");
	traced(syscall(SYS_creat, "fresh", 0644), 0, "creat write absent ~/fresh as \"fresh\"");
#endif
	return end();
}
