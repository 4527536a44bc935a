/*
 * Another process sends signals while this one makes file calls, from handlers without
 * SA_RESTART: real-time signals with numbers, which must come all, once each and in order;
 * and, one at a time, a standard signal, which must come as often as it was sent. No call
 * may give EINTR, and the context of a handler must not say that one does. The first
 * argument is how many of each are sent; it prints how many came.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct shared {
	atomic_int ready, standard, ordered, wrong, done;
};
static struct shared *shared;
static pid_t child;

static void on_standard(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)context;
	if (info->si_code != SI_USER || info->si_pid != child)
		shared->wrong++;
	shared->standard++;
}

static void on_ordered(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)context;
	if (info->si_code != SI_QUEUE || info->si_pid != child || info->si_value.sival_int != shared->ordered)
		shared->wrong++;
	shared->ordered++;
}

static void pause_for(long ns)
{
	struct timespec t = {0, ns};
	nanosleep(&t, NULL);
}

/* 5,000 of each a second, or as many as this one takes. */
static void send_all(pid_t target, int count)
{
	for (int i = 0; i < count; i++) {
		kill(target, SIGUSR1);
		while (sigqueue(target, SIGRTMIN, (union sigval){.sival_int = i}) && errno == EAGAIN)
			pause_for(100000);
		pause_for(100000);
		while (shared->standard <= i)
			sched_yield();
	}
	while (shared->ordered < count)
		pause_for(100000);
	shared->done = 1;
}

int main(int argc, char **argv)
{
	int count = argc > 1 ? atoi(argv[1]) : 1000, calls = 0, interrupted = 0, failed = 0;
	struct sigaction standard = {.sa_sigaction = on_standard, .sa_flags = SA_SIGINFO};
	struct sigaction ordered = {.sa_sigaction = on_ordered, .sa_flags = SA_SIGINFO};
	pid_t self = getpid();

	shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	sigaction(SIGUSR1, &standard, NULL);
	sigaction(SIGRTMIN, &ordered, NULL);
	if ((child = fork()) == 0) {
		while (!shared->ready)
			sched_yield();
		send_all(self, count);
		_exit(0);
	}
	shared->ready = 1;
	for (; !shared->done; calls++) {
		struct stat st;
		if (stat("/", &st) && (errno == EINTR ? interrupted++ == 0 : failed++ == 0))
			perror("stat");
		if (access("/", R_OK) && (errno == EINTR ? interrupted++ == 0 : failed++ == 0))
			perror("access");
	}
	while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
	printf("standard %d ordered %d wrong %d interrupted %d failed %d\n", shared->standard, shared->ordered, shared->wrong, interrupted, failed);
	fprintf(stderr, "%d calls\n", 2 * calls);
	return 0;
}
