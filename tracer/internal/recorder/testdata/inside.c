/*
 * A program with the recorder in it. Descriptors 3 and 4 are the memory of its slots and of
 * the counter. It prints the address at which it has room, reads the recorder from standard
 * input, and a filter if there is one, and does what its argument says. It prints a line for
 * each thing that went wrong, and "done".
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <setjmp.h>
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
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, RING = 16 * PAGE, SLOT = 512, SIZE = 5 * PAGE + RING, ENTRY = 256, NOTIFIED = -99 };

static char *base;
static const char *mode;
uint64_t entry_address;

static void fail(const char *what)
{
	printf("%s: %s\n", what, strerror(errno));
	fflush(stdout);
	_exit(1);
}

static void *place(char *at, size_t n, int prot, int flags, int fd)
{
	void *p = mmap(at, n, prot, flags | (at ? MAP_FIXED : 0), fd, 0);
	if (p == MAP_FAILED)
		fail("mmap");
	return p;
}

static void take(void *to, size_t n)
{
	for (size_t have = 0; have < n;) {
		ssize_t got = read(0, (char *)to + have, n - have);
		if (got <= 0)
			fail("read");
		have += got;
	}
}

extern char site[], gap[];
static char *near_site(void);
static void lead(void);

static void begin(void)
{
	base = near_site();
	if (base == MAP_FAILED)
		fail("mmap");
	entry_address = (uint64_t)base + ENTRY;
	printf("%lx %lx %lx\n", (unsigned long)base, (unsigned long)site, (unsigned long)gap);
	fflush(stdout);
	place(base, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	take(base, 2 * PAGE);
	if (mprotect(base, PAGE, PROT_READ | PROT_EXEC) || mprotect(base + PAGE, PAGE, PROT_READ))
		fail("mprotect");
	if (madvise(base + 2 * PAGE, PAGE, MADV_WIPEONFORK))
		fail("madvise");
	*(uint64_t *)(base + 2 * PAGE) = 1;
	place(base + 3 * PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, 4);
	place(base + 4 * PAGE, RING, PROT_READ | PROT_WRITE, MAP_SHARED, 3);
	if (madvise(base + 3 * PAGE, PAGE + RING, MADV_DONTFORK))
		fail("madvise");
	close(3);
	close(4);
	lead();
	uint64_t n;
	take(&n, sizeof n);
	if (n == 0)
		return;
	struct sock_filter *filter = malloc(n * sizeof *filter);
	take(filter, n * sizeof *filter);
	struct sock_fprog program = {(unsigned short)n, filter};
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program))
		fail("seccomp");
}

/* A call by way of the recorder. */
static long through(long number, long a, long b, long c, long d, long e)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	long result;
	__asm__ volatile("lea 1f(%%rip), %%rcx\n\t"
			 "mov entry_address(%%rip), %%r11\n\t"
			 "jmp *%%r11\n\t"
			 "syscall\n1:"
			 : "=a"(result)
			 : "0"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
			 : "rcx", "r11", "memory", "cc");
	return result;
}

/* The same call as the kernel makes it. */
static long bare(long number, long a, long b, long c, long d, long e)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	long result;
	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "0"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
			 : "rcx", "r11", "memory", "cc");
	return result;
}

/*
 * All registers: in the order rax rbx rcx rdx rsi rdi rbp r8 to r15 loaded from one array, the
 * call made, and stored in another. What is below the stack pointer must stay as well.
 */
uint64_t before[15], after[15], stack_pointer, red_zone;
void through_all(void);
__asm__("through_all:\n"
	"push %rbx\npush %rbp\npush %r12\npush %r13\npush %r14\npush %r15\n"
	"lea -128(%rsp), %rdi\nmov $16, %ecx\nmov $0x5a5a5a5a5a5a5a5a, %rax\nrep stosq\n"
	"lea before(%rip), %rax\n"
	"mov 8(%rax), %rbx\nmov 24(%rax), %rdx\nmov 32(%rax), %rsi\nmov 40(%rax), %rdi\nmov 48(%rax), %rbp\n"
	"mov 56(%rax), %r8\nmov 64(%rax), %r9\nmov 72(%rax), %r10\n"
	"mov 88(%rax), %r12\nmov 96(%rax), %r13\nmov 104(%rax), %r14\nmov 112(%rax), %r15\n"
	"mov (%rax), %rax\n"
	"mov %rsp, stack_pointer(%rip)\n"
	"lea 1f(%rip), %rcx\n"
	"mov entry_address(%rip), %r11\n"
	"jmp *%r11\n"
	"syscall\n"
	"1:\n"
	"sub %rsp, stack_pointer(%rip)\n"
	"mov %rax, after(%rip)\n"
	"lea after(%rip), %rax\n"
	"mov %rbx, 8(%rax)\nmov %rdx, 24(%rax)\nmov %rsi, 32(%rax)\nmov %rdi, 40(%rax)\nmov %rbp, 48(%rax)\n"
	"mov %r8, 56(%rax)\nmov %r9, 64(%rax)\nmov %r10, 72(%rax)\n"
	"mov %r12, 88(%rax)\nmov %r13, 96(%rax)\nmov %r14, 104(%rax)\nmov %r15, 112(%rax)\n"
	"lea -128(%rsp), %rdi\nmov $16, %ecx\nmov $0x5a5a5a5a5a5a5a5a, %rax\nrepe scasq\n"
	"mov $0, %eax\nsetne %al\nmov %rax, red_zone(%rip)\n"
	"pop %r15\npop %r14\npop %r13\npop %r12\npop %rbp\npop %rbx\n"
	"ret\n");

static const char main_path[] = "/etc/passwd", handler_path[] = "/etc/hostname", later_path[] = "/etc/group";
static struct stat expected;

static void same(const char *what, long got, long want)
{
	if (got != want)
		printf("%s: %ld, want %ld\n", what, got, want);
}

static void check(const char *what, long result, struct stat *st)
{
	same(what, result, 0);
	if (result == 0 && (st->st_ino != expected.st_ino || st->st_size != expected.st_size))
		printf("%s: another file\n", what);
}

static sigjmp_buf jump;
static pid_t child = -1;
static volatile long handled, handler_notified;

static void handler(int signal)
{
	struct stat st;
	(void)signal;
	handled++;
	if (!strcmp(mode, "handler-fork")) {
		child = fork();
	} else if (!strcmp(mode, "handler-jump")) {
		siglongjmp(jump, 1);
	} else {
		long result = through(SYS_stat, (long)handler_path, (long)&st, 0, 0, 0);
		if (result == NOTIFIED)
			handler_notified++;
		else
			same("a handler's call", result, 0);
	}
}

#include "site.c"

/* One call, at any of whose instructions a signal may come. */
static void one(int number)
{
	static struct stat st;
	static char target[256];
	if (sigsetjmp(jump, 1) == 0) {
		__asm__ volatile("int3");
		long result = number == SYS_stat ? through(number, (long)main_path, (long)&st, 0, 0, 0)
						 : through(number, (long)main_path, (long)target, sizeof target, 0, 0);
		__asm__ volatile("int3");
		if (child == 0)
			printf("child %ld\n", result);
		if (child == 0 && result == NOTIFIED)
			;
		else if (number == SYS_stat)
			check("the call", result, &st);
		else
			same("the call", result, -EINVAL);
	}
	if (!strcmp(mode, "handler-jump"))
		same("the next call", through(SYS_stat, (long)later_path, (long)&st, 0, 0, 0), 0);
	if (child == 0) { /* it has come back into the interrupted call as well */
		long result = through(SYS_stat, (long)later_path, (long)&st, 0, 0, 0);
		if (result != NOTIFIED)
			same("the child's next call", result, 0);
		fflush(stdout);
		_exit(0);
	}
	int status = 0;
	if (child > 0 && (waitpid(child, &status, 0) != child || status != 0))
		printf("the child has ended with %#x\n", status);
}

/* Each kind of call, with all registers. */
static void registers(void)
{
	static char buffer[512];
	static const char *paths[] = {"/etc/passwd", "/missing", "/proc/self", "", "/etc/passwd/below"};
	static const struct {
		long number;
		int path, buffer;
	} kinds[] = {{SYS_stat, 5, 4}, {SYS_lstat, 5, 4}, {SYS_newfstatat, 4, 3}, {SYS_statx, 4, 7}, {SYS_access, 5, 3},
		     {SYS_faccessat, 4, 3}, {SYS_faccessat2, 4, 3}, {SYS_readlink, 5, 4}, {SYS_readlinkat, 4, 3}, {SYS_getpid, 2, 3}};
	for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
		for (size_t p = 0; p < sizeof paths / sizeof *paths; p++) {
			for (int i = 0; i < 15; i++)
				before[i] = 0x123456789abcd00 + i;
			before[0] = kinds[k].number;
			before[9] = 100;
			before[3] = 0;
			before[5] = AT_FDCWD;
			before[7] = 0;
			before[kinds[k].path] = (uint64_t)paths[p];
			before[kinds[k].buffer] = (uint64_t)buffer;
			through_all();
			for (int i = 1; i < 15; i++)
				if (i != 2 && i != 10 && after[i] != before[i])
					printf("call %ld of %s: register %d is %lx, was %lx\n", kinds[k].number, paths[p], i, (long)after[i], (long)before[i]);
			same("the stack pointer's change", stack_pointer, 0);
			same("the red zone's change", red_zone, 0);
			same("the result", after[0], bare(before[0], before[5], before[4], before[3], before[9], before[7]));
		}
}

/* Path and result in one buffer. */
static void aliases(void)
{
	union {
		char path[512];
		struct stat st;
	} u;
	memset(&u, 0, sizeof u);
	strcpy(u.path, main_path);
	check("stat of its own buffer", through(SYS_stat, (long)u.path, (long)&u.st, 0, 0, 0), &u.st);
	strcpy(u.path, "/proc/self/../../etc/mtab");
	char link[] = "/tmp/fstrace-alias-XXXXXX";
	int fd = mkstemp(link);
	unlink(link);
	if (fd < 0 || symlink("a target", link))
		fail(link);
	strcpy(u.path, link);
	same("readlink into its own buffer", through(SYS_readlink, (long)u.path, (long)u.path, sizeof u.path, 0, 0), 8);
	if (strncmp(u.path, "a target", 8))
		printf("readlink into its own buffer: %.20s\n", u.path);
	unlink(link);
}

/* Waits until all slots are free: else a call is not recorded. */
static void drained(void)
{
	time_t deadline = time(NULL) + 30;
	for (int slot = 1; slot < RING / SLOT; slot++)
		while (*(volatile uint64_t *)(base + 4 * PAGE + slot * SLOT) != 0) {
			if (time(NULL) > deadline) {
				printf("slot %d does not become free\n", slot);
				return;
			}
			usleep(100);
		}
}

/* Memory that comes and goes below the call. */
static char *shaky;
static volatile int stop;

static void *shake(void *unused)
{
	(void)unused;
	while (!stop) {
		mprotect(shaky, PAGE, PROT_NONE);
		mprotect(shaky, PAGE, PROT_READ | PROT_WRITE);
	}
	return NULL;
}

static void faults(void)
{
	struct stat *st = malloc(sizeof *st);
	long ok = 0, efault = 0;
	pthread_t thread;
	shaky = place(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	strcpy(shaky, main_path);
	if (pthread_create(&thread, NULL, shake, NULL))
		fail("pthread_create");
	time_t deadline = time(NULL) + 20;
	for (int i = 0; i < 20000 || ((ok == 0 || efault == 0) && time(NULL) < deadline); i++) {
		long result;
		if (i % 2) {
			memset(st, 0, sizeof *st);
			result = through(SYS_stat, (long)shaky, (long)st, 0, 0, 0);
			if (result == 0)
				check("path on memory that comes and goes", result, st);
		} else {
			result = through(SYS_stat, (long)main_path, (long)(shaky + PAGE / 2), 0, 0, 0);
		}
		if (result == 0)
			ok++;
		else if (result == -EFAULT)
			efault++;
		else
			same("memory that comes and goes", result, 0);
	}
	stop = 1;
	pthread_join(thread, NULL);
	drained();
	same("a path at 8", through(SYS_stat, 8, (long)st, 0, 0, 0), -EFAULT);
	same("a path that is no address", through(SYS_stat, 1l << 62, (long)st, 0, 0, 0), -EFAULT);
	same("no path", through(SYS_stat, 0, (long)st, 0, 0, 0), -EFAULT);
	same("no buffer", through(SYS_stat, (long)main_path, 0, 0, 0, 0), -EFAULT);
	if (ok == 0 || efault == 0)
		printf("%ld calls succeeded, %ld had no memory: nothing was tested\n", ok, efault);
}

/* A stack that ends where the program's own use of it does. */
static void guard(void)
{
	static struct stat st;
	char *stack = place(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	if (mprotect(stack, PAGE, PROT_NONE))
		fail("mprotect");
	for (int room = 0; room < 512; room += 8) {
		long result;
		char *top = stack + PAGE + room;
		memset(&st, 0, sizeof st);
		__asm__ volatile("mov %%rsp, %%r12\n\tmov %[top], %%rsp\n\t"
				 "lea 1f(%%rip), %%rcx\n\tmov entry_address(%%rip), %%r11\n\tjmp *%%r11\n\tsyscall\n1:\t"
				 "mov %%r12, %%rsp"
				 : "=a"(result)
				 : "0"((long)SYS_stat), "D"(main_path), "S"(&st), [top] "r"(top)
				 : "rcx", "r11", "r12", "memory", "cc");
		check("a call at the end of the stack", result, &st);
	}
}

/* Calls under a timer whose handler makes calls itself; each is recorded or notified. */
static void storm(void)
{
	struct stat st;
	long notified = 0, calls = 0;
	time_t deadline = time(NULL) + 60;
	struct itimerval timer = {{0, 200}, {0, 200}}, off = {{0, 0}, {0, 0}};
	setitimer(ITIMER_REAL, &timer, NULL);
	while (calls - notified < 20000 || handled - handler_notified < 20) {
		calls++;
		if (calls % 1024 == 0 && time(NULL) > deadline)
			break;
		long result = through(SYS_stat, (long)main_path, (long)&st, 0, 0, 0);
		if (result == NOTIFIED)
			notified++;
		else
			check("a call", result, &st);
	}
	setitimer(ITIMER_REAL, &off, NULL);
	printf("recorded %ld %ld of %ld %ld\n", calls - notified, handled - handler_notified, calls, (long)handled);
}

int main(int argc, char **argv)
{
	if (argc != 2 || stat(main_path, &expected))
		return 2;
	mode = argv[1];
	struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
	sigaction(SIGUSR1, &action, NULL);
	sigaction(SIGALRM, &action, NULL);
	begin();
	if (!strncmp(mode, "handler", 7))
		one(SYS_stat);
	else if (!strcmp(mode, "readlink"))
		one(SYS_readlink);
	else if (!strcmp(mode, "registers"))
		registers();
	else if (!strcmp(mode, "aliases"))
		aliases();
	else if (!strcmp(mode, "faults"))
		faults();
	else if (!strcmp(mode, "guard"))
		guard();
	else if (!strcmp(mode, "site"))
		at_site();
	else if (!strcmp(mode, "storm"))
		storm();
	printf("done\n");
	fflush(stdout);
	_exit(0);
}
