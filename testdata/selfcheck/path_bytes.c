/* A name is any bytes but NUL and '/': UTF-8 or not, control characters, 255 of them. */
#include "selfcheck.h"

int main(int argc, char **argv)
{
	(void)argc;
	static const char *const names[] = {
		"caf\xc3\xa9",     /* UTF-8 */
		"caf\xe9",	   /* Latin-1 */
		"\xff\xfe\x80",	   /* nothing at all */
		"\xed\xa0\x80",	   /* a surrogate, which UTF-8 has not */
		"a\nb\tc\x1b[0m",  /* what would confuse a line or a terminal */
		" \"quoted\" \\ ", /* what would confuse a parser */
		"-",
		"...",
	};
	char longest[256], tooLong[257], shown[2048];

	scratch(argv);
	memset(longest, 'n', 255), longest[255] = 0;
	memset(tooLong, 'n', 256), tooLong[256] = 0;
	begin();

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		quote(shown, sizeof shown, names[i]);
		traced(syscall(SYS_mkdirat, AT_FDCWD, names[i], 0755), 0,
		       "mkdirat create absent ~/%s as \"%s\"", shown, shown);
		traced(syscall(SYS_faccessat, AT_FDCWD, names[i], F_OK), 0,
		       "faccessat stat dir ~/%s as \"%s\"", shown, shown);
		traced(syscall(SYS_symlinkat, names[i], AT_FDCWD, "link"), 0,
		       "symlinkat create absent ~/link as \"link\" target=\"%s\"", shown);
		traced(syscall(SYS_faccessat, AT_FDCWD, "link", F_OK), 0,
		       "faccessat stat dir ~/link as \"link\" links=~/link>%s real=~/%s", shown,
		       shown);
		traced(syscall(SYS_renameat2, AT_FDCWD, "link", AT_FDCWD, names[i], 0), EISDIR,
		       "renameat2 rename symlink ~/link as \"link\" -> ~/%s dir as \"%s\"", shown,
		       shown);
		traced(syscall(SYS_unlinkat, AT_FDCWD, "link", 0), 0,
		       "unlinkat delete symlink ~/link as \"link\"");
	}
	traced(syscall(SYS_mkdirat, AT_FDCWD, longest, 0755), 0,
	       "mkdirat create absent ~/%s as \"%s\"", longest, longest);
	traced(syscall(SYS_faccessat, AT_FDCWD, tooLong, F_OK), ENAMETOOLONG,
	       "faccessat stat absent ~/%s as \"%s\"", tooLong, tooLong);
	return end();
}
