/* /proc marks what was removed with " (deleted)", and a name may end like that. */
#include "selfcheck.h"

int main(int argc, char **argv)
{
	(void)argc;
	static char b[1024];
	const int at = AT_FDCWD;

	scratch(argv);
	dir("d (deleted)");
	file("d (deleted)/f (deleted)");
	dir("d");
	int f = must(open("d (deleted)/f (deleted)", O_RDONLY));
	int d = must(open("d (deleted)", O_PATH));
	must(chdir("d (deleted)"));
	begin();

	traced(syscall(SYS_faccessat, at, "f (deleted)", F_OK), 0,
	       "faccessat stat file ~/d\\x20(deleted)/f\\x20(deleted) as \"f\\x20(deleted)\"");
	traced(syscall(SYS_faccessat, d, "no", F_OK), ENOENT,
	       "faccessat stat absent ~/d\\x20(deleted)/no as \"no\"");
	traced(syscall(SYS_faccessat, at, "..", F_OK), 0, "faccessat stat dir ~ as \"..\"");
	traced(syscall(SYS_fstatat_, f, "", b, AT_EMPTY_PATH), 0,
	       FSTATAT " stat file ~/d\\x20(deleted)/f\\x20(deleted)");

	/* Now it was removed: the mark is /proc's, the rest of the name is not. */
	traced(syscall(SYS_unlinkat, at, "f (deleted)", 0), 0,
	       "unlinkat delete file ~/d\\x20(deleted)/f\\x20(deleted) as \"f\\x20(deleted)\"");
	traced(syscall(SYS_fstatat_, f, "", b, AT_EMPTY_PATH), 0,
	       FSTATAT " stat file ~/d\\x20(deleted)/f\\x20(deleted)");
	return end();
}
