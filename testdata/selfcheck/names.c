/* Names made and removed: none of these calls follows a link at the end. */
#include "selfcheck.h"

int main(int argc, char **argv)
{
	(void)argc;
	const int at = AT_FDCWD;

	scratch(argv);
	file("f");
	linkto("nowhere", "dangling");
	linkto("f", "flink");
	begin();

	traced(syscall(SYS_mkdirat, at, "d", 0755), 0, "mkdirat create absent ~/d as \"d\"");
	traced(syscall(SYS_mkdirat, at, "d", 0755), EEXIST, "mkdirat create dir ~/d as \"d\"");
	traced(syscall(SYS_mkdirat, at, "dangling", 0755), EEXIST,
	       "mkdirat create symlink ~/dangling as \"dangling\"");
	int d = traced(syscall(SYS_openat, at, "d", O_PATH), 0, "openat stat dir ~/d as \"d\"");
	traced(syscall(SYS_mknodat, d, "fifo", S_IFIFO | 0644, 0), 0,
	       "mknodat create absent ~/d/fifo as \"fifo\"");
	traced(syscall(SYS_symlinkat, "../f", d, "s"), 0,
	       "symlinkat create absent ~/d/s as \"s\" target=\"../f\"");
	traced(syscall(SYS_symlinkat, "x", d, "s"), EEXIST,
	       "symlinkat create symlink ~/d/s as \"s\" target=\"x\"");

	traced(syscall(SYS_linkat, at, "f", d, "hard", 0), 0,
	       "linkat create file ~/f as \"f\" -> ~/d/hard absent as \"hard\"");
	traced(syscall(SYS_linkat, at, "flink", d, "link", 0), 0,
	       "linkat create symlink ~/flink as \"flink\" -> ~/d/link absent as \"link\"");
	traced(syscall(SYS_linkat, at, "flink", d, "file", AT_SYMLINK_FOLLOW), 0,
	       "linkat create file ~/flink as \"flink\" -> ~/d/file absent as \"file\" "
	       "links=~/flink>f real=~/f");

	traced(syscall(SYS_unlinkat, d, "s", 0), 0, "unlinkat delete symlink ~/d/s as \"s\"");
	traced(syscall(SYS_unlinkat, d, "s", 0), ENOENT, "unlinkat delete absent ~/d/s as \"s\"");
	traced(syscall(SYS_unlinkat, d, "fifo", 0), 0,
	       "unlinkat delete other ~/d/fifo as \"fifo\"");
	traced(syscall(SYS_unlinkat, at, "d", AT_REMOVEDIR), ENOTEMPTY,
	       "unlinkat delete dir ~/d as \"d\"");

#ifdef SYS_mkdir
	traced(syscall(SYS_mkdir, "e", 0755), 0, "mkdir create absent ~/e as \"e\"");
	traced(syscall(SYS_mknod, "e/fifo", S_IFIFO | 0644, 0), 0,
	       "mknod create absent ~/e/fifo as \"e/fifo\"");
	traced(syscall(SYS_symlink, "anything", "e/s"), 0,
	       "symlink create absent ~/e/s as \"e/s\" target=\"anything\"");
	traced(syscall(SYS_link, "f", "e/hard"), 0,
	       "link create file ~/f as \"f\" -> ~/e/hard absent as \"e/hard\"");
	traced(syscall(SYS_link, "dangling", "e/link"), 0,
	       "link create symlink ~/dangling as \"dangling\" "
	       "-> ~/e/link absent as \"e/link\"");
	traced(syscall(SYS_unlink, "e/s"), 0, "unlink delete symlink ~/e/s as \"e/s\"");
	traced(syscall(SYS_unlink, "e"), EISDIR, "unlink delete dir ~/e as \"e\"");
	traced(syscall(SYS_rmdir, "e"), ENOTEMPTY, "rmdir delete dir ~/e as \"e\"");
	traced(syscall(SYS_mkdir, "g", 0755), 0, "mkdir create absent ~/g as \"g\"");
	traced(syscall(SYS_rmdir, "g"), 0, "rmdir delete dir ~/g as \"g\"");
#endif
	return end();
}
