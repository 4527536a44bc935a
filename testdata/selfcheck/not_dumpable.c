/*
 * What makes itself undumpable may be looked at by the privileged alone. A
 * record by anybody else has to say what it could not see.
 */
#include "selfcheck.h"
#include <sys/prctl.h>

int main(int argc, char **argv)
{
	(void)argc;
	scratch(argv);
	file("f");
	file("g");
	begin();

	traced(syscall(SYS_faccessat, AT_FDCWD, "f", F_OK), 0, "faccessat stat file ~/f as \"f\"");
	must(prctl(PR_SET_DUMPABLE, 0));
	if (geteuid() == 0)
		traced(syscall(SYS_faccessat, AT_FDCWD, "g", F_OK), 0,
		       "faccessat stat file ~/g as \"g\"");
	else
		traced(syscall(SYS_faccessat, AT_FDCWD, "g", F_OK), 0, "faccessat stat unknown ?");
	must(prctl(PR_SET_DUMPABLE, 1));
	if (geteuid() != 0)
		render("incomplete opaque_process");
	traced(syscall(SYS_faccessat, AT_FDCWD, "f", F_OK), 0, "faccessat stat file ~/f as \"f\"");
	return end();
}
