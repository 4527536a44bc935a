/*
 * Extended attributes: reading them is a stat, writing them changes the file.
 * Whether the file system has any does not matter to what is accessed.
 */
#include "selfcheck.h"

int main(int argc, char **argv)
{
	(void)argc;
	static char b[256];
	const char *name = "user.fstrace";

	scratch(argv);
	file("f");
	linkto("f", "link");
	int fd = must(open("f", O_RDWR));
	begin();

	traced(syscall(SYS_setxattr, "f", name, "x", 1, 0), ANY, "setxattr chattr file ~/f as \"f\"");
	traced(syscall(SYS_setxattr, "link", name, "x", 1, 0), ANY,
	       "setxattr chattr file ~/link as \"link\" links=~/link>f real=~/f");
	traced(syscall(SYS_lsetxattr, "link", name, "x", 1, 0), ANY,
	       "lsetxattr chattr symlink ~/link as \"link\"");
	traced(syscall(SYS_fsetxattr, fd, name, "x", 1, 0), ANY, "fsetxattr chattr file ~/f");

	traced(syscall(SYS_getxattr, "f", name, b, sizeof b), ANY,
	       "getxattr stat file ~/f as \"f\"");
	traced(syscall(SYS_lgetxattr, "link", name, b, sizeof b), ANY,
	       "lgetxattr stat symlink ~/link as \"link\"");
	traced(syscall(SYS_listxattr, "f", b, sizeof b), ANY, "listxattr stat file ~/f as \"f\"");
	traced(syscall(SYS_llistxattr, "link", b, sizeof b), ANY,
	       "llistxattr stat symlink ~/link as \"link\"");
	traced(syscall(SYS_getxattr, "no", name, b, sizeof b), ENOENT,
	       "getxattr stat absent ~/no as \"no\"");

	traced(syscall(SYS_fremovexattr, fd, name), ANY, "fremovexattr chattr file ~/f");
	traced(syscall(SYS_removexattr, "f", name), ANY, "removexattr chattr file ~/f as \"f\"");
	traced(syscall(SYS_lremovexattr, "link", name), ANY,
	       "lremovexattr chattr symlink ~/link as \"link\"");

	/* As with fstat, what is asked of an open file needs no record. */
	untraced(syscall(SYS_fgetxattr, fd, name, b, sizeof b), ANY);
	untraced(syscall(SYS_flistxattr, fd, b, sizeof b), ANY);
	return end();
}
