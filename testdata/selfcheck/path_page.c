/* A string may cross pages, and end with the last byte before one that is not there. */
#include "selfcheck.h"
#include <sys/mman.h>

int main(int argc, char **argv)
{
	(void)argc;
	const int at = AT_FDCWD;
	const long page = sysconf(_SC_PAGESIZE);

	scratch(argv);
	dir("d");
	file("d/file");
	char *p = mmap(NULL, 3 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		die("mmap: %s\n", strerror(errno));
	must(munmap(p + 2 * page, page));
	begin();

	/* Every way of lying across the border of the first two pages. */
	for (int before = 0; before <= 7; before++) {
		char *s = p + page - before;
		strcpy(s, "d/file");
		traced(syscall(SYS_faccessat, at, s, F_OK), 0,
		       "faccessat stat file ~/d/file as \"d/file\"");
	}

	/* The NUL is the last byte that there is. */
	char *last = p + 2 * page - 7;
	strcpy(last, "d/file");
	traced(syscall(SYS_faccessat, at, last, F_OK), 0,
	       "faccessat stat file ~/d/file as \"d/file\"");

	/* The NUL would be the first byte that is not there. */
	memcpy(last + 1, "d/file", 6);
	untraced(syscall(SYS_faccessat, at, last + 1, F_OK), EFAULT);

	/* A page that may not be read. */
	strcpy(last, "d/file");
	must(mprotect(p + page, page, PROT_NONE));
	untraced(syscall(SYS_faccessat, at, last, F_OK), EFAULT);
	return end();
}
