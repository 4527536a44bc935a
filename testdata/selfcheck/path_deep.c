/*
 * A working directory that is deeper than PATH_MAX: getcwd(2) cannot tell its
 * path, nor can /proc. A record that does not find it has to say so.
 */
#include "selfcheck.h"

int main(int argc, char **argv)
{
	(void)argc;
	static char name[256], path[20 * 256 + 1];

	scratch(argv);
	render("deep");
	memset(name, 'd', 255);
	for (int i = 0; i < 20; i++) {
		dir(name);
		must(chdir(name));
		strcat(strcat(path, "/"), name);
	}
	file("f");
	begin();

	traced(syscall(SYS_faccessat, AT_FDCWD, "f", F_OK), 0, "faccessat stat file ~%s/f as \"f\"",
	       path);
	traced(syscall(SYS_faccessat, AT_FDCWD, "no", F_OK), ENOENT,
	       "faccessat stat absent ~%s/no as \"no\"", path);
	return end();
}
