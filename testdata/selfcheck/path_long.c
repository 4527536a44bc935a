/* The longest path has 4,095 bytes, and what it leads to may have more. */
#include "selfcheck.h"

#define LONGEST 4095

int main(int argc, char **argv)
{
	(void)argc;
	const int at = AT_FDCWD;
	static char deep[LONGEST + 2], dots[LONGEST + 2];

	scratch(argv);
	file("f");
	int root = must(open(".", O_PATH));

	/* 15 directories of 255 bytes, and 255 bytes of file name. */
	for (int i = 0; i < 15; i++) {
		char *name = deep + i * 256;
		memset(name, 'a' + i, 255);
		dir(name);
		must(chdir(name));
		name[255] = '/';
	}
	memset(deep + 15 * 256, 'z', 255);
	file(deep + 15 * 256);
	must(fchdir(root));

	/* The scratch directory, and as much "/." as fits before the name. */
	strcpy(dots, home);
	for (size_t n = strlen(dots); n < LONGEST - 3; n = strlen(dots))
		strcpy(dots + n, "/.");
	strcat(dots, strlen(dots) == LONGEST - 2 ? "/f" : "//f");
	begin();

	traced(syscall(SYS_faccessat, at, dots, F_OK), 0, "faccessat stat file ~/f as \"%s\"", dots);
	traced(syscall(SYS_faccessat, at, deep, F_OK), 0, "faccessat stat file ~/%s as \"%s\"",
	       deep, deep);
	traced(syscall(SYS_openat, at, deep, O_RDONLY), 0, "openat read file ~/%s as \"%s\"", deep,
	       deep);

	/* One byte more and the kernel does not look. */
	dots[LONGEST] = 'f';
	untraced(syscall(SYS_faccessat, at, dots, F_OK), ENAMETOOLONG);
	return end();
}
