/* readlink never follows what it reads; an empty path reads the descriptor. */
#include "selfcheck.h"

int main(int argc, char **argv)
{
	(void)argc;
	static char buffer[256];
	const int at = AT_FDCWD;

	scratch(argv);
	file("f");
	dir("d");
	linkto("../f", "d/link");
	linkto("d", "dl");
	int d = must(open("d", O_PATH));
	int link = must(open("d/link", O_PATH | O_NOFOLLOW));
	begin();

	traced(syscall(SYS_readlinkat, at, "d/link", buffer, sizeof buffer), 0,
	       "readlinkat readlink symlink ~/d/link as \"d/link\"");
	traced(syscall(SYS_readlinkat, d, "link", buffer, sizeof buffer), 0,
	       "readlinkat readlink symlink ~/d/link as \"link\"");
	traced(syscall(SYS_readlinkat, at, "dl/link", buffer, sizeof buffer), 0,
	       "readlinkat readlink symlink ~/d/link as \"dl/link\" links=~/dl>d");
	traced(syscall(SYS_readlinkat, at, "f", buffer, sizeof buffer), EINVAL,
	       "readlinkat readlink file ~/f as \"f\"");
	traced(syscall(SYS_readlinkat, at, "no", buffer, sizeof buffer), ENOENT,
	       "readlinkat readlink absent ~/no as \"no\"");
	traced(syscall(SYS_readlinkat, link, "", buffer, sizeof buffer), 0,
	       "readlinkat readlink symlink ~/d/link");
#ifdef SYS_readlink
	traced(syscall(SYS_readlink, "dl", buffer, sizeof buffer), 0,
	       "readlink readlink symlink ~/dl as \"dl\"");
	traced(syscall(SYS_readlink, "d", buffer, sizeof buffer), EINVAL,
	       "readlink readlink dir ~/d as \"d\"");
#endif
	return end();
}
