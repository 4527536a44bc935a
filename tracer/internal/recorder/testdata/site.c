/*
 * Part of inside.c: a syscall instruction that is led to the recorder, as those of libc are. A signal
 * may come at any instruction of its call.
 */

/* As through_all, but the call is made at site; gap is five bytes that nothing executes. */
extern char site[], gap[];
void through_site(void);
__asm__("through_site:\n"
	"push %rbx\npush %rbp\npush %r12\npush %r13\npush %r14\npush %r15\n"
	"lea -128(%rsp), %rdi\nmov $16, %ecx\nmov $0x5a5a5a5a5a5a5a5a, %rax\nrep stosq\n"
	"lea before(%rip), %rax\n"
	"mov 8(%rax), %rbx\nmov 24(%rax), %rdx\nmov 32(%rax), %rsi\nmov 40(%rax), %rdi\nmov 48(%rax), %rbp\n"
	"mov 56(%rax), %r8\nmov 64(%rax), %r9\nmov 72(%rax), %r10\n"
	"mov 88(%rax), %r12\nmov 96(%rax), %r13\nmov 104(%rax), %r14\nmov 112(%rax), %r15\n"
	"mov (%rax), %rax\n"
	"mov %rsp, stack_pointer(%rip)\n"
	"int3\n"
	"jmp site\n"
	"gap: .skip 5, 0x90\n"
	"site: syscall\n"
	"int3\n"
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

/* Room near the site. */
static char *near_site(void)
{
	char *hint = (char *)((uintptr_t)site & -(uintptr_t)PAGE) - (64 << 20);
	return mmap(hint, SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

/* Leads the site to its landing. */
static void lead(void)
{
	char *landing = base + 4 * PAGE + RING;
	char *page = (char *)((uintptr_t)gap & -(uintptr_t)PAGE);
	place(landing, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	take(landing, PAGE);
	if (mprotect(landing, PAGE, PROT_READ | PROT_EXEC) || mprotect(page, 2 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC))
		fail("mprotect");
	take(gap, 5);
	take(site, 2);
}

static volatile int interrupted_inside = -1;

/* Says whether it has interrupted the recorder's pages. */
static void look(int signal, siginfo_t *info, void *context)
{
	const ucontext_t *c = context;
	char *pc = (char *)c->uc_mcontext.gregs[REG_RIP];
	(void)signal;
	(void)info;
	interrupted_inside = pc >= base && pc < base + SIZE;
}

static void at_site(void)
{
	static struct stat st;
	struct sigaction action = {.sa_sigaction = look, .sa_flags = SA_RESTART | SA_SIGINFO};
	sigaction(SIGUSR1, &action, NULL);
	for (int i = 0; i < 15; i++)
		before[i] = 0x123456789abcd00 + i;
	before[0] = SYS_stat;
	before[5] = (uint64_t)main_path;
	before[4] = (uint64_t)&st;
	through_site();
	for (int i = 1; i < 15; i++)
		if (i != 2 && i != 10 && after[i] != before[i])
			printf("register %d is %lx, was %lx\n", i, (long)after[i], (long)before[i]);
	same("the stack pointer's change", stack_pointer, 0);
	same("the red zone's change", red_zone, 0);
	check("the call", after[0], &st);
	printf("inside %d\n", interrupted_inside);
}
