/* Pointers to nowhere name nothing, and harm nobody. */
#include "selfcheck.h"

int main(int argc, char **argv)
{
	(void)argc;
	static char b[1024];
	const int at = AT_FDCWD;
	void *const bad[] = {NULL, (void *)8, (void *)-8L, (void *)~0UL};

	scratch(argv);
	file("f");
	begin();
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		untraced(syscall(SYS_openat, at, bad[i], O_RDONLY), EFAULT);
		untraced(syscall(SYS_faccessat, at, bad[i], F_OK), EFAULT);
		untraced(syscall(SYS_fstatat_, at, bad[i], b, 0), EFAULT);
		untraced(syscall(SYS_mkdirat, at, bad[i], 0755), EFAULT);
		untraced(syscall(SYS_symlinkat, "x", at, bad[i]), EFAULT);
		untraced(syscall(SYS_chdir, bad[i]), EFAULT);
		untraced(syscall(SYS_execve, bad[i], NULL, NULL), EFAULT);
	}
	/* A result that cannot be stored does not undo the look. */
	traced(syscall(SYS_fstatat_, at, "f", NULL, 0), EFAULT, FSTATAT " stat file ~/f as \"f\"");
	return end();
}
