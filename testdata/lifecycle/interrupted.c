/*
 * File calls under a fast timer whose handler was installed without SA_RESTART,
 * from as many threads as the first argument says, and as often as the second. None
 * of them may ever give EINTR: not one sleeps interruptibly, untraced. Prints how
 * often each did, and how many signals came.
 *
 * With "fifo" it opens a FIFO that nobody writes to: that gives EINTR, as it does
 * untraced. With "restart" the handler has SA_RESTART, and the open goes on until
 * somebody opens the FIFO for writing.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { CALLS = 10 };
static const char *const names[CALLS] = {
	"stat", "access", "open", "create", "mkdir", "rmdir", "rename", "unlink", "readlink", "getdents",
};
static atomic_int interrupted[CALLS];
static atomic_int signals, failed;
static int rounds;

static void count(int signal)
{
	(void)signal;
	signals++;
}

/* What fails after an EINTR may fail because of it. */
static int interrupted_any(void)
{
	for (int i = 0; i < CALLS; i++)
		if (interrupted[i])
			return 1;
	return 0;
}

static void check(int call, long result)
{
	if (result >= 0)
		return;
	if (errno == EINTR) {
		interrupted[call]++;
		return;
	}
	if (failed++ == 0 && !interrupted_any())
		printf("%s: %s\n", names[call], strerror(errno));
}

static void *work(void *number)
{
	char dir[32], file[64], other[64], link[64], buffer[4096];
	timer_t timer;
	struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1};
	struct itimerspec often = {{0, 200000}, {0, 200000}}, never = {{0, 0}, {0, 0}};

	snprintf(dir, sizeof dir, "thread%ld", (long)number);
	snprintf(file, sizeof file, "%s/file", dir);
	snprintf(other, sizeof other, "%s/other", dir);
	snprintf(link, sizeof link, "%s/link", dir);
	if (mkdir(dir, 0755) || symlink("target", link)) {
		perror(dir);
		exit(1);
	}
	event._sigev_un._tid = syscall(SYS_gettid);
	if (timer_create(CLOCK_MONOTONIC, &event, &timer) || timer_settime(timer, 0, &often, NULL)) {
		perror("timer");
		exit(1);
	}
	for (int i = 0; i < rounds; i++) {
		struct stat st;
		long fd;

		check(0, stat(dir, &st));
		check(1, access(dir, R_OK));
		check(2, fd = open(dir, O_RDONLY | O_DIRECTORY));
		check(9, syscall(SYS_getdents64, fd, buffer, sizeof buffer));
		close(fd);
		check(3, fd = open(file, O_WRONLY | O_CREAT, 0644));
		close(fd);
		check(2, fd = open(file, O_RDONLY));
		close(fd);
		check(6, rename(file, other));
		check(7, unlink(other));
		check(4, mkdir(file, 0755));
		check(5, rmdir(file));
		check(8, readlink(link, buffer, sizeof buffer));
	}
	timer_settime(timer, 0, &never, NULL);
	timer_delete(timer);
	return NULL;
}

static int opens_fifo(int flags)
{
	struct sigaction action = {.sa_handler = count, .sa_flags = flags};
	struct itimerval soon = {{0, 1000}, {0, 1000}};

	if (mkfifo("fifo", 0600) && errno != EEXIST)
		return 1;
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &soon, NULL);
	int fd = open("fifo", O_RDONLY);
	if (flags)
		printf("open: %s, %s\n", fd < 0 ? strerror(errno) : "opened", signals > 1 ? "after signals" : "too early");
	else
		printf("open: %s\n", fd < 0 ? strerror(errno) : "opened");
	return 0;
}

int main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = count};
	pthread_t threads[64];

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 2)
		return opens_fifo(strcmp(argv[1], "restart") == 0 ? SA_RESTART : 0);
	int number = atoi(argv[1]);
	rounds = atoi(argv[2]);
	sigaction(SIGUSR1, &action, NULL);
	for (long i = 0; i < number; i++)
		pthread_create(&threads[i], NULL, work, (void *)i);
	for (int i = 0; i < number; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < CALLS; i++)
		if (interrupted[i])
			printf("%s: EINTR %d times\n", names[i], interrupted[i]);
	fprintf(stderr, "%d signals\n", signals);
	return signals == 0 || failed;
}
