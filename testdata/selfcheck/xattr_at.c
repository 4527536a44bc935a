/* The calls on attributes that take a directory descriptor, some of them new. */
#include "selfcheck.h"

int main(int argc, char **argv)
{
	(void)argc;
	static char b[256];
	const char *name = "user.fstrace";
	/* linux/xattr.h: struct xattr_args. */
	struct {
		uint64_t value;
		uint32_t size, flags;
	} args = {(uintptr_t)b, 1, 0};

	scratch(argv);
	dir("d");
	file("d/f");
	linkto("f", "d/link");
	int d = must(open("d", O_PATH));
	if (syscall(SYS_listxattrat, -1, "", 0, NULL, 0) == -1 && errno == ENOSYS)
		skip("the calls came with Linux 6.13\n");
	begin();

	traced(syscall(SYS_setxattrat, d, "f", 0, name, &args, sizeof args), ANY,
	       "setxattrat chattr file ~/d/f as \"f\"");
	traced(syscall(SYS_getxattrat, d, "f", 0, name, &args, sizeof args), ANY,
	       "getxattrat stat file ~/d/f as \"f\"");
	traced(syscall(SYS_listxattrat, d, "f", 0, b, sizeof b), 0,
	       "listxattrat stat file ~/d/f as \"f\"");
	traced(syscall(SYS_listxattrat, d, "link", AT_SYMLINK_NOFOLLOW, b, sizeof b), ANY,
	       "listxattrat stat symlink ~/d/link as \"link\"");
	traced(syscall(SYS_listxattrat, d, "link", 0, b, sizeof b), ANY,
	       "listxattrat stat file ~/d/link as \"link\" links=~/d/link>f real=~/d/f");
	traced(syscall(SYS_removexattrat, d, "f", 0, name), ANY,
	       "removexattrat chattr file ~/d/f as \"f\"");
	traced(syscall(SYS_listxattrat, d, "no", 0, b, sizeof b), ENOENT,
	       "listxattrat stat absent ~/d/no as \"no\"");
	traced(syscall(SYS_listxattrat, d, "", AT_EMPTY_PATH, b, sizeof b), ANY,
	       "listxattrat stat dir ~/d");
	traced(syscall(SYS_listxattrat, d, NULL, AT_EMPTY_PATH, b, sizeof b), ANY,
	       "listxattrat stat dir ~/d");
	return end();
}
