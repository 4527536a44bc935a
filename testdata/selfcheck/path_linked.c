/* A file whose name was removed, and that has another: /proc knows the first only. */
#include "selfcheck.h"

int main(int argc, char **argv)
{
	(void)argc;
	char by_fd[64];
	const int at = AT_FDCWD;

	scratch(argv);
	int fd = must(open("a", O_RDWR | O_CREAT, 0600));
	int nameless = open(".", O_RDWR | O_TMPFILE, 0600);
	render("nolinks"); /* #INODE */
	begin();

	traced(syscall(SYS_linkat, at, "a", at, "b", 0), 0, "linkat create file ~/a as \"a\" -> ~/b absent as \"b\"");
	traced(syscall(SYS_unlinkat, at, "a", 0), 0, "unlinkat delete file ~/a as \"a\"");
	traced(syscall(SYS_fchmod, fd, 0644), 0, "fchmod chattr file ~/b");
	traced(syscall(SYS_renameat, at, "b", at, "c"), 0, "renameat rename file ~/b as \"b\" -> ~/c absent as \"c\"");
	traced(syscall(SYS_fchmod, fd, 0600), 0, "fchmod chattr file ~/c");
	snprintf(by_fd, sizeof by_fd, "/proc/%d/fd/%d", getpid(), fd);
	traced(syscall(SYS_faccessat, at, by_fd, F_OK), 0,
	       "faccessat stat file %s", by_fd);
	if (nameless >= 0) {
		snprintf(by_fd, sizeof by_fd, "/proc/%d/fd/%d", getpid(), nameless);
		must(syscall(SYS_linkat, at, by_fd, at, "t", AT_SYMLINK_FOLLOW));
		expect("linkat create file %s -> ~/t absent as \"t\"", by_fd);
		traced(syscall(SYS_fchmod, nameless, 0644), 0, "fchmod chattr file ~/t");
	}
	return end();
}
