/*
 * Installs the filter that it reads from standard input, in which a call that would be
 * notified fails with errno 99, and makes calls with and without the key. The key is the
 * argument. Prints one line for each thing that went wrong, and "done".
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

enum { NOTIFIED = -99, ROUNDS = 200000, I386_STAT64 = 195, X32 = 1 << 30 };

static uint64_t key;
static struct stat buffer;
static volatile long handled, stale, slipped;

extern char after_first[], after_second[];

/* stat at the first site, with r9 as it is given. */
static long __attribute__((noinline)) first(long number, const char *path, uint64_t r9v)
{
	long result;
	__asm__ volatile("mov %[r9v], %%r9\n\tsyscall\n\t.globl after_first\nafter_first:"
			 : "=a"(result)
			 : "0"(number), "D"(path), "S"(&buffer), [r9v] "r"(r9v)
			 : "rcx", "r11", "r9", "memory");
	return result;
}

/* The same at another site. */
static long __attribute__((noinline)) second(long number, const char *path, uint64_t r9v)
{
	long result;
	__asm__ volatile("mov %[r9v], %%r9\n\tsyscall\n\t.globl after_second\nafter_second:"
			 : "=a"(result)
			 : "0"(number), "D"(path), "S"(&buffer), [r9v] "r"(r9v)
			 : "rcx", "r11", "r9", "memory");
	return result;
}

static uint64_t at(char *address)
{
	return key ^ (uint64_t)address;
}

/* A raw call that leaves r9 as the interrupted code had it. */
static void handler(int signal)
{
	uint64_t r9v;
	long result;
	static struct stat mine;
	__asm__ volatile("mov %%r9, %[r9v]\n\tsyscall"
			 : "=a"(result), [r9v] "=&r"(r9v)
			 : "0"((long)SYS_stat), "D"("/"), "S"(&mine)
			 : "rcx", "r11", "memory");
	(void)signal;
	handled++;
	stale += r9v == at(after_first);
	slipped += result != NOTIFIED;
}

static void expect(const char *what, long got, long want)
{
	if (got != want)
		printf("%s: %ld, want %ld\n", what, got, want);
}

static void refused(int signal)
{
	(void)signal;
	printf("done\n");
	fflush(stdout);
	_exit(0);
}

int main(int argc, char **argv)
{
	static struct sock_filter filter[4096];
	size_t n = fread(filter, sizeof filter[0], 4096, stdin);
	struct sock_fprog program = {(unsigned short)n, filter};
	if (argc != 2 || n == 0)
		return 2;
	key = strtoull(argv[1], NULL, 16);
	char *low = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	strcpy(low, "/");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program)) {
		perror("seccomp");
		return 2;
	}
	expect("first site", first(SYS_stat, "/", at(after_first)), 0);
	expect("second site", second(SYS_stat, "/", at(after_second)), 0);
	expect("the first site's value at the second", second(SYS_stat, "/", at(after_first)), NOTIFIED);
	expect("the bare key", first(SYS_stat, "/", key), NOTIFIED);
	expect("nothing", first(SYS_stat, "/", 0), NOTIFIED);
	for (int bit = 0; bit < 64; bit++)
		expect("a wrong bit", first(SYS_stat, "/", at(after_first) ^ 1ull << bit), NOTIFIED);
	expect("a call without the rule", first(SYS_mkdir, "/", at(after_first)), NOTIFIED);
	expect("x32", first(SYS_stat | X32, "/", at(after_first)), NOTIFIED);

	struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
	sigaction(SIGALRM, &action, NULL);
	struct itimerval timer = {{0, 200}, {0, 200}}, off = {{0, 0}, {0, 0}};
	setitimer(ITIMER_REAL, &timer, NULL);
	long bad = 0;
	for (int i = 0; i < ROUNDS; i++)
		bad += first(SYS_stat, "/", at(after_first)) != 0;
	setitimer(ITIMER_REAL, &off, NULL);
	expect("keyed calls refused in the storm", bad, 0);
	expect("calls of handlers that slipped through", slipped, 0);
	if (handled == 0 || stale == 0)
		printf("%ld handlers ran, of which %ld found the key in r9: nothing was tested\n", handled, stale);

	/* By i386's entry, which this kernel may not have. ebp is its sixth argument. */
	signal(SIGSEGV, refused);
	long result;
	uint32_t pointers[] = {(uint32_t)key, 0};
	for (int i = 0; i < 2; i++) {
		__asm__ volatile("push %%rbp\n\tmov %[six], %%ebp\n\tint $0x80\n\tpop %%rbp"
				 : "=a"(result)
				 : "0"(I386_STAT64), "b"(low), "c"(low + 256), "d"(0), [six] "S"(pointers[i])
				 : "memory", "r8", "r9", "r10", "r11");
		expect("int 0x80", (int)result, NOTIFIED);
	}
	printf("done\n");
	return 0;
}
