/* Symbolic links on the way and at the end: relative, absolute, chained, dangling. */
#include "selfcheck.h"

int main(int argc, char **argv)
{
	(void)argc;
	const int at = AT_FDCWD;
	char absolute[4096];

	scratch(argv);
	dir("d");
	dir("d/e");
	file("d/e/f");
	linkto("d", "relative");
	snprintf(absolute, sizeof absolute, "%s/d/e", home);
	linkto(absolute, "absolute");
	linkto("../relative/e", "d/up");
	linkto("two", "one");
	linkto("d/three", "two");
	linkto("e/f", "d/three");
	linkto("d/no", "dangling");
	linkto("no/no", "d/gone");
	begin();

	traced(syscall(SYS_faccessat, at, "relative/e/f", F_OK), 0,
	       "faccessat stat file ~/d/e/f as \"relative/e/f\" links=~/relative>d");
	traced(syscall(SYS_faccessat, at, "absolute/f", F_OK), 0,
	       "faccessat stat file ~/d/e/f as \"absolute/f\" links=~/absolute>~/d/e");
	traced(syscall(SYS_faccessat, at, "d/up/f", F_OK), 0,
	       "faccessat stat file ~/d/e/f as \"d/up/f\" "
	       "links=~/d/up>../relative/e,~/relative>d");
	traced(syscall(SYS_faccessat, at, "relative", F_OK), 0,
	       "faccessat stat dir ~/relative as \"relative\" links=~/relative>d real=~/d");
	traced(syscall(SYS_faccessat, at, "one", F_OK), 0,
	       "faccessat stat file ~/one as \"one\" "
	       "links=~/one>two,~/two>d/three,~/d/three>e/f real=~/d/e/f");
	traced(syscall(SYS_faccessat, at, "relative/three", F_OK), 0,
	       "faccessat stat file ~/d/three as \"relative/three\" "
	       "links=~/relative>d,~/d/three>e/f real=~/d/e/f");

	traced(syscall(SYS_faccessat, at, "dangling", F_OK), ENOENT,
	       "faccessat stat absent ~/dangling as \"dangling\" "
	       "links=~/dangling>d/no real=~/d/no");
	traced(syscall(SYS_faccessat, at, "d/gone", F_OK), ENOENT,
	       "faccessat stat absent ~/d/gone as \"d/gone\" "
	       "links=~/d/gone>no/no real=~/d/no/no");
	traced(syscall(SYS_faccessat, at, "dangling/f", F_OK), ENOENT,
	       "faccessat stat absent ~/d/no/f as \"dangling/f\" links=~/dangling>d/no");

	/* An open that creates makes what the link dangles to. */
	traced(syscall(SYS_openat, at, "dangling", O_WRONLY | O_CREAT, 0644), 0,
	       "openat write absent ~/dangling as \"dangling\" "
	       "links=~/dangling>d/no real=~/d/no");
	traced(syscall(SYS_openat, at, "dangling", O_RDONLY), 0,
	       "openat read file ~/dangling as \"dangling\" links=~/dangling>d/no real=~/d/no");
	return end();
}
