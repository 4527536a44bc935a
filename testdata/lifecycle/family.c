/*
 * A family of threads and processes on a terminal: waits for a line, then threads
 * fork children, each in its own way, and all of them print. Built with glibc and,
 * static, with musl.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS 4

extern char **environ;
static char *self;

/* One write a line: lines of others come between, never within. */
static void say(const char *who, int thread, int child)
{
	char line[64];
	int n = snprintf(line, sizeof line, "%s %d.%d\n", who, thread, child);

	if (write(1, line, n) != n)
		_exit(1);
}

static int child(int thread, int n)
{
	int fd = open("/etc/hostname", O_RDONLY | O_CLOEXEC);

	say(fd < 0 ? "blind" : "child", thread, n);
	return 10 * thread + n;
}

static void *grow(void *arg)
{
	int thread = (int)(long)arg, status, sum = 0;
	char number[2][16];
	char *argv[] = {self, number[0], number[1], NULL};
	pid_t pid;

	snprintf(number[0], sizeof number[0], "%d", thread);
	for (int n = 0; n < 3; n++) {
		snprintf(number[1], sizeof number[1], "%d", n);
		switch (n) {
		case 0:
			if ((pid = fork()) == 0)
				_exit(child(thread, n));
			break;
		case 1:
			if ((pid = vfork()) == 0) {
				execv(self, argv);
				_exit(127);
			}
			break;
		default:
			if (posix_spawn(&pid, self, NULL, NULL, argv, environ))
				_exit(126);
		}
		if (waitpid(pid, &status, 0) == pid && WIFEXITED(status))
			sum += WEXITSTATUS(status);
	}
	say("thread", thread, sum);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS];
	char line[8];

	self = argv[0];
	if (argc == 3)
		return child(atoi(argv[1]), atoi(argv[2]));
	if (!fgets(line, sizeof line, stdin))
		return 1;
	for (long i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, grow, (void *)i);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	say("main", isatty(1), getpgrp() == tcgetpgrp(1));
	return 5;
}
