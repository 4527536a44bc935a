/*
 * Traces in each way that ptrace(2) has, and prints what it sees of its tracee:
 *
 *     traceme       a child that asks to be traced, execs, and opens a file
 *     attach        a child that runs, by PTRACE_ATTACH
 *     seize         a child that runs, by PTRACE_SEIZE, and PTRACE_INTERRUPT
 *     stopped       a child that is stopped by SIGSTOP, by PTRACE_SEIZE
 *     thread        the other thread of a child
 *     self          its own parent traced by a child, as LeakSanitizer does
 *     nobody        processes that are not there, or may not be traced
 *     again         a child that is traced already
 *     kill          a child that is killed while it is traced
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

static int to_child[2], from_child[2];

static void must(int ok, const char *what)
{
	if (ok)
		return;
	printf("%s: %s\n", what, strerror(errno));
	exit(1);
}

/* Prints what a wait status says. */
static int show(int status)
{
	if (WIFEXITED(status))
		printf("exited %d\n", WEXITSTATUS(status));
	else if (WIFSIGNALED(status))
		printf("killed by %d\n", WTERMSIG(status));
	else
		printf("stopped by %d, event %d\n", WSTOPSIG(status), status >> 16);
	return status;
}

static int await(pid_t pid)
{
	int status;

	must(waitpid(pid, &status, __WALL) == pid, "waitpid");
	return show(status);
}

static void touch(void)
{
	close(open("/etc/hostname", O_RDONLY));
}

static void say(int fd)
{
	must(write(fd, "x", 1) == 1, "write");
}

static void hear(int fd)
{
	char c;

	must(read(fd, &c, 1) == 1, "read");
}

static void *opens(void *unused)
{
	(void)unused;
	pid_t tid = syscall(SYS_gettid);
	must(write(from_child[1], &tid, sizeof tid) == sizeof tid, "write tid");
	for (;;)
		pause();
	return NULL;
}

/* A child that says when it runs, and ends, having opened a file, when told to. */
static pid_t child(int threads)
{
	pid_t pid;

	must(pipe(to_child) == 0 && pipe(from_child) == 0, "pipe");
	fflush(stdout);
	pid = fork();
	must(pid >= 0, "fork");
	if (pid == 0) {
		pthread_t t;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (threads)
			must(pthread_create(&t, NULL, opens, NULL) == 0, "pthread_create");
		else
			say(from_child[1]);
		hear(to_child[0]);
		touch();
		_exit(5);
	}
	if (!threads)
		hear(from_child[0]);
	return pid;
}

static void traceme(void)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		must(ptrace(PTRACE_TRACEME, 0, 0, 0) == 0, "TRACEME");
		raise(SIGSTOP);
		touch();
		execl("/bin/sh", "sh", "-c", "read line </etc/hostname; exit 5", (char *)NULL);
		_exit(127);
	}
	await(pid);
	must(ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACEEXEC | PTRACE_O_TRACEEXIT) == 0, "SETOPTIONS");
	do {
		must(ptrace(PTRACE_CONT, pid, 0, 0) == 0, "CONT");
		status = await(pid);
	} while (WIFSTOPPED(status));
}

/* Goes on to the end, from a stop. */
static void finish(pid_t pid)
{
	must(ptrace(PTRACE_CONT, pid, 0, 0) == 0, "CONT");
	say(to_child[1]);
	await(pid);
}

static void attach(void)
{
	pid_t pid = child(0);

	must(ptrace(PTRACE_ATTACH, pid, 0, 0) == 0, "ATTACH");
	await(pid);
	finish(pid);
}

static void seize(void)
{
	pid_t pid = child(0);

	must(ptrace(PTRACE_SEIZE, pid, 0, PTRACE_O_EXITKILL) == 0, "SEIZE");
	must(ptrace(PTRACE_INTERRUPT, pid, 0, 0) == 0, "INTERRUPT");
	await(pid);
	finish(pid);
}

static void stopped(void)
{
	int status;
	pid_t pid = child(0);

	kill(pid, SIGSTOP);
	must(waitpid(pid, &status, WUNTRACED) == pid, "waitpid");
	show(status);
	must(ptrace(PTRACE_SEIZE, pid, 0, 0) == 0, "SEIZE");
	await(pid);
	must(ptrace(PTRACE_LISTEN, pid, 0, 0) == 0, "LISTEN");
	kill(pid, SIGCONT);
	while (WIFSTOPPED(status = await(pid)) && WSTOPSIG(status) != SIGCONT)
		must(ptrace(PTRACE_CONT, pid, 0, 0) == 0, "CONT");
	finish(pid);
}

static void thread(void)
{
	pid_t tid, pid = child(1);

	must(read(from_child[0], &tid, sizeof tid) == sizeof tid, "read tid");
	must(ptrace(PTRACE_SEIZE, tid, 0, 0) == 0, "SEIZE");
	must(ptrace(PTRACE_INTERRUPT, tid, 0, 0) == 0, "INTERRUPT");
	await(tid);
	must(ptrace(PTRACE_DETACH, tid, 0, 0) == 0, "DETACH");
	say(to_child[1]);
	await(pid);
}

static void self(void)
{
	int status;
	pid_t parent = getpid(), pid;

	must(pipe(to_child) == 0, "pipe");
	must(prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY) == 0 || errno == EINVAL, "PR_SET_PTRACER");
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		int ok = ptrace(PTRACE_ATTACH, parent, 0, 0) == 0 && waitpid(parent, &status, __WALL) == parent &&
			 ptrace(PTRACE_DETACH, parent, 0, 0) == 0;
		_exit(ok ? 5 : errno);
	}
	await(pid);
	touch();
}

static void nobody(void)
{
	struct { const char *name; pid_t pid; } list[] = {{"0", 0}, {"-1", -1}, {"far", 4000000}, {"self", getpid()}};

	for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
		errno = 0;
		long r = ptrace(PTRACE_SEIZE, list[i].pid, 0, 0);
		printf("SEIZE %s: %ld %s\n", list[i].name, r, strerror(errno));
		r = ptrace(PTRACE_ATTACH, list[i].pid, 0, 0);
		printf("ATTACH %s: %ld %s\n", list[i].name, r, strerror(errno));
	}
	errno = 0;
	long r = ptrace(PTRACE_CONT, getppid(), 0, 0);
	printf("CONT: %ld %s\n", r, strerror(errno));
}

static void again(void)
{
	pid_t pid = child(0);

	must(ptrace(PTRACE_SEIZE, pid, 0, 0) == 0, "SEIZE");
	long r = ptrace(PTRACE_SEIZE, pid, 0, 0);
	printf("SEIZE again: %ld %s\n", r, strerror(errno));
	must(ptrace(PTRACE_INTERRUPT, pid, 0, 0) == 0, "INTERRUPT");
	await(pid);
	finish(pid);
}

static void killed(void)
{
	pid_t pid = child(0);

	must(ptrace(PTRACE_SEIZE, pid, 0, 0) == 0, "SEIZE");
	kill(pid, SIGKILL);
	await(pid);
}

int main(int argc, char **argv)
{
	static const struct { const char *name; void (*run)(void); } ways[] = {
		{"traceme", traceme}, {"attach", attach}, {"seize", seize}, {"stopped", stopped},
		{"thread", thread}, {"self", self}, {"nobody", nobody}, {"again", again}, {"kill", killed},
	};

	alarm(60);
	for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
		if (argc > 1 && strcmp(argv[1], ways[i].name) == 0) {
			ways[i].run();
			printf("%s: done\n", argv[1]);
			return 3;
		}
	}
	fprintf(stderr, "usage: ptracer WAY\n");
	return 2;
}
