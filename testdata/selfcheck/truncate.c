/* A length set is content written, by name or by descriptor. */
#include "selfcheck.h"

int main(int argc, char **argv)
{
	(void)argc;
	int pipes[2];

	scratch(argv);
	file("f");
	linkto("f", "link");
	int fd = must(open("f", O_RDWR));
	must(pipe(pipes));
	begin();

	traced(syscall(SYS_truncate, "f", 3), 0, "truncate write file ~/f as \"f\"");
	traced(syscall(SYS_truncate, "link", 2), 0,
	       "truncate write file ~/link as \"link\" links=~/link>f real=~/f");
	traced(syscall(SYS_truncate, "no", 2), ENOENT, "truncate write absent ~/no as \"no\"");
	traced(syscall(SYS_ftruncate, fd, 1), 0, "ftruncate write file ~/f");
	untraced(syscall(SYS_ftruncate, pipes[1], 0), EINVAL);
#ifdef __i386__
	/* 64-bit arguments come in two registers. */
	traced(syscall(SYS_truncate64, "f", 3, 0), 0, "truncate64 write file ~/f as \"f\"");
	traced(syscall(SYS_ftruncate64, fd, 3, 0), 0, "ftruncate64 write file ~/f");
	traced(syscall(SYS_fallocate, fd, 0, 0, 0, 16, 0), ANY, "fallocate write file ~/f");
#else
	traced(syscall(SYS_fallocate, fd, 0, 0L, 16L), ANY, "fallocate write file ~/f");
#endif
	return end();
}
