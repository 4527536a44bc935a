/* openat2 may change what the root of a path is, and forbid ways of walking it. */
#include "selfcheck.h"

static long openat2(int dirfd, const char *path, uint64_t flags, uint64_t resolve)
{
	struct how how = {.flags = flags, .resolve = resolve};
	return syscall(SYS_openat2, dirfd, path, &how, sizeof how);
}

int main(int argc, char **argv)
{
	(void)argc;
	scratch(argv);
	file("f");
	dir("root");
	dir("root/sub");
	file("root/sub/f");
	linkto("/sub/f", "root/inside");
	linkto("sub", "root/s");
	int root = must(open("root", O_PATH | O_DIRECTORY));
	if (openat2(AT_FDCWD, "f", O_RDONLY, 0) == -1 && errno == ENOSYS)
		skip("openat2 came with Linux 5.6");
	begin();

	traced(openat2(AT_FDCWD, "f", O_RDONLY, 0), 0, "openat2 read file ~/f as \"f\"");
	traced(openat2(AT_FDCWD, "f", O_WRONLY, 0), 0, "openat2 write file ~/f as \"f\"");
	traced(openat2(root, "sub/f", O_RDONLY, 0), 0, "openat2 read file ~/root/sub/f as \"sub/f\"");

	/* As in a chroot: absolute paths, absolute links and ".." end at the root. */
	traced(openat2(root, "/sub/f", O_RDONLY, RESOLVE_IN_ROOT), 0,
	       "openat2 read file ~/root/sub/f as \"/sub/f\"");
	traced(openat2(root, "../../sub/f", O_RDONLY, RESOLVE_IN_ROOT), 0,
	       "openat2 read file ~/root/sub/f as \"../../sub/f\"");
	traced(openat2(root, "inside", O_RDONLY, RESOLVE_IN_ROOT), 0,
	       "openat2 read file ~/root/inside as \"inside\" "
	       "links=~/root/inside>/sub/f real=~/root/sub/f");
	traced(openat2(root, "/f", O_RDONLY, RESOLVE_IN_ROOT), ENOENT,
	       "openat2 read absent ~/root/f as \"/f\"");

	traced(openat2(root, "sub/../sub/f", O_RDONLY, RESOLVE_BENEATH), 0,
	       "openat2 read file ~/root/sub/f as \"sub/../sub/f\"");
	traced(openat2(root, "sub/f", O_RDONLY, RESOLVE_NO_SYMLINKS), 0,
	       "openat2 read file ~/root/sub/f as \"sub/f\"");
	traced(openat2(root, "s/f", O_RDONLY, RESOLVE_NO_MAGICLINKS), 0,
	       "openat2 read file ~/root/sub/f as \"s/f\" links=~/root/s>sub");

	/* The size says how much of the structure the kernel knows: too small fails. */
	struct how how = {.flags = O_RDONLY};
	untraced(syscall(SYS_openat2, AT_FDCWD, "f", (void *)8, sizeof how), EFAULT);
	return end();
}
