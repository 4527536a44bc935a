/* chattr(1)'s flags by path: Linux 6.17. Older kernels refuse, and touch nothing. */
#include "selfcheck.h"

int main(int argc, char **argv)
{
	(void)argc;
	/* linux/fs.h: struct file_attr. */
	struct {
		uint64_t xflags;
		uint32_t extsize, nextents, projid, cowextsize;
	} attr = {0};

	scratch(argv);
	file("f");
	linkto("f", "link");
	if (syscall(SYS_file_getattr, -1, "", NULL, 0, 0) == -1 && errno == ENOSYS)
		skip("the calls came with Linux 6.17\n");
	begin();

	traced(syscall(SYS_file_getattr, AT_FDCWD, "f", &attr, sizeof attr, 0), ANY,
	       "file_getattr stat file ~/f as \"f\"");
	traced(syscall(SYS_file_getattr, AT_FDCWD, "link", &attr, sizeof attr, AT_SYMLINK_NOFOLLOW),
	       ANY, "file_getattr stat symlink ~/link as \"link\"");
	traced(syscall(SYS_file_setattr, AT_FDCWD, "f", &attr, sizeof attr, 0), ANY,
	       "file_setattr chattr file ~/f as \"f\"");
	return end();
}
