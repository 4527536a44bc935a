/* A 64-bit program may make i386 calls: other numbers, the same files. */
#include "selfcheck.h"
#include <signal.h>
#include <sys/mman.h>

#ifdef __x86_64__
static long int80(long number, long a, long b, long c)
{
	long result;
	__asm__ volatile("int $0x80"
			 : "=a"(result)
			 : "a"(number), "b"(a), "c"(b), "d"(c)
			 : "memory", "r8", "r9", "r10", "r11");
	if (result < 0 && result > -4096) {
		errno = -result;
		return -1;
	}
	return result;
}

static void refused(int signal)
{
	(void)signal;
	skip("this kernel has no i386 calls\n");
}
#endif

int main(int argc, char **argv)
{
	(void)argc;
	scratch(argv);
#ifndef __x86_64__
	skip("int 0x80 of a 64-bit program is x86-64's\n");
#else
	enum { OPEN = 5, UNLINK = 10, GETPID = 20, ACCESS = 33, STAT64 = 195, OPENAT = 295 };
	/* Memory that 32 bits can point to. */
	char *low = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	if (low == MAP_FAILED)
		die("mmap: %s\n", strerror(errno));
	file("f");
	strcpy(low, "f");
	long name = (long)low, buffer = (long)(low + 256);
	signal(SIGSEGV, refused);
	if (int80(GETPID, 0, 0, 0) != getpid())
		refused(0);
	begin();

	traced(int80(OPEN, name, O_RDONLY, 0), 0, "i386:open read file ~/f as \"f\"");
	traced(int80(OPENAT, AT_FDCWD, name, O_WRONLY), 0, "i386:openat write file ~/f as \"f\"");
	traced(int80(ACCESS, name, R_OK, 0), 0, "i386:access stat file ~/f as \"f\"");
	traced(int80(STAT64, name, buffer, 0), 0, "i386:stat64 stat file ~/f as \"f\"");
	traced(syscall(SYS_openat, AT_FDCWD, low, O_RDONLY), 0, "openat read file ~/f as \"f\"");
	traced(int80(UNLINK, name, 0, 0), 0, "i386:unlink delete file ~/f as \"f\"");
	untraced(int80(OPEN, 8, O_RDONLY, 0), EFAULT);
	return end();
#endif
}
