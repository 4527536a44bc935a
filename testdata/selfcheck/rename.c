/* A rename has two paths, and neither follows a link at its end. */
#include "selfcheck.h"

#define NOREPLACE 1
#define EXCHANGE 2

int main(int argc, char **argv)
{
	(void)argc;
	const int at = AT_FDCWD;

	scratch(argv);
	file("a");
	file("b");
	dir("d");
	dir("e");
	linkto("a", "link");
	int d = must(open("d", O_PATH));
	begin();

	traced(syscall(SYS_renameat2, at, "a", at, "c", 0), 0,
	       "renameat2 rename file ~/a as \"a\" -> ~/c absent as \"c\"");
	traced(syscall(SYS_renameat2, at, "c", d, "c", NOREPLACE), 0,
	       "renameat2 rename file ~/c as \"c\" -> ~/d/c absent as \"c\"");
	traced(syscall(SYS_renameat2, d, "c", at, "b", NOREPLACE), EEXIST,
	       "renameat2 rename file ~/d/c as \"c\" -> ~/b file as \"b\"");
	traced(syscall(SYS_renameat2, d, "c", at, "link", EXCHANGE), 0,
	       "renameat2 rename file ~/d/c as \"c\" -> ~/link symlink as \"link\"");
	traced(syscall(SYS_renameat2, at, "no", at, "b", 0), ENOENT,
	       "renameat2 rename absent ~/no as \"no\" -> ~/b file as \"b\"");
	traced(syscall(SYS_renameat2, at, "b", at, "no/b", 0), ENOENT,
	       "renameat2 rename file ~/b as \"b\" -> ~/no/b absent as \"no/b\"");
	traced(syscall(SYS_renameat2, at, "b", at, "e", 0), EISDIR,
	       "renameat2 rename file ~/b as \"b\" -> ~/e dir as \"e\"");
#ifdef SYS_renameat
	traced(syscall(SYS_renameat, at, "b", d, "b"), 0,
	       "renameat rename file ~/b as \"b\" -> ~/d/b absent as \"b\"");
#endif
#ifdef SYS_rename
	traced(syscall(SYS_rename, "e", "E"), 0,
	       "rename rename dir ~/e as \"e\" -> ~/E absent as \"E\"");
#endif
	return end();
}
