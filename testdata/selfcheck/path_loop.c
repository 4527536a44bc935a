/* The kernel follows 40 links and then gives up: nothing was found. */
#include "selfcheck.h"

int main(int argc, char **argv)
{
	(void)argc;
	const int at = AT_FDCWD;
	char from[16], to[16];

	scratch(argv);
	render("nolinks");
	linkto("loop", "loop");
	linkto("b", "a");
	linkto("a", "b");
	file("0");
	for (int i = 1; i <= 41; i++) {
		snprintf(from, sizeof from, "%d", i);
		snprintf(to, sizeof to, "%d", i - 1);
		linkto(to, from);
	}
	begin();

	traced(syscall(SYS_faccessat, at, "loop", F_OK), ELOOP,
	       "faccessat stat absent ~/loop as \"loop\"");
	traced(syscall(SYS_faccessat, at, "a", F_OK), ELOOP, "faccessat stat absent ~/a as \"a\"");
	traced(syscall(SYS_faccessat, at, "40", F_OK), 0, "faccessat stat file ~/40 as \"40\"");
	traced(syscall(SYS_faccessat, at, "41", F_OK), ELOOP, "faccessat stat absent ~/41 as \"41\"");
	traced(syscall(SYS_faccessat2, at, "loop", F_OK, AT_SYMLINK_NOFOLLOW), 0,
	       "faccessat2 stat symlink ~/loop as \"loop\"");
	return end();
}
