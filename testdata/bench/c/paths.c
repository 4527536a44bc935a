/* Looks up so many paths so many times, and prints how many nanoseconds it took:
 * paths PREFIX DISTINCT LOOKUPS PROCESSES
 *
 * The paths are PREFIX followed by seven digits. The lookups are shared out among the
 * processes, which all live until the last of them is done.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { DIGITS = 7 };

/* Writes number into the digits that end before end. */
static void put(char *end, long number)
{
	for (int i = 0; i < DIGITS; i++, number /= 10)
		*--end = '0' + number % 10;
}

static void look_up(const char *prefix, long distinct, long lookups)
{
	char path[4096];
	int length = snprintf(path, sizeof path, "%s%0*d", prefix, DIGITS, 0);
	struct stat st;
	for (long i = 0; i < lookups; i++) {
		put(path + length, i % distinct);
		(void)!stat(path, &st);
	}
}

static long now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000L + t.tv_nsec;
}

int main(int argc, char **argv)
{
	if (argc != 5 || strlen(argv[1]) > 4000)
		errx(2, "usage: paths PREFIX DISTINCT LOOKUPS PROCESSES");
	long distinct = atol(argv[2]), lookups = atol(argv[3]);
	int processes = atoi(argv[4]), status, failed = 0;
	if (distinct < 1 || processes < 1)
		errx(2, "%ld paths, %d processes", distinct, processes);

	pthread_barrier_t *barrier = mmap(NULL, sizeof *barrier, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (barrier == MAP_FAILED)
		err(1, "mmap");
	pthread_barrierattr_t across;
	pthread_barrierattr_init(&across);
	pthread_barrierattr_setpshared(&across, PTHREAD_PROCESS_SHARED);
	pthread_barrier_init(barrier, &across, processes);

	long begun = now();
	for (int p = 1; p < processes; p++)
		if (fork() == 0) {
			look_up(argv[1], distinct, lookups / processes);
			pthread_barrier_wait(barrier);
			_exit(0);
		}
	look_up(argv[1], distinct, lookups / processes);
	pthread_barrier_wait(barrier);
	printf("%ld\n", now() - begun);
	while (wait(&status) > 0)
		failed |= status;
	return failed != 0;
}
