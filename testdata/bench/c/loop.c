/* Makes one kind of call again and again for a while, and prints how many
 * nanoseconds one took: loop CALL DIRECTORY THREADS PROCESSES MILLISECONDS
 *
 * The program times itself, so that what a tracer needs to start and to end is not in
 * the result. All threads of all processes begin together. If they are several, the
 * result is the time that passed, divided by the calls that all of them made.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_WORKERS = 256 };

static char file[4096], absent[4096];
static int directory;

static void stat_file(void)
{
	struct stat st;
	if (stat(file, &st) < 0)
		err(1, "stat %s", file);
}

static void open_close(void)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		err(1, "open %s", file);
	close(fd);
}

static void fstatat_relative(void)
{
	struct stat st;
	if (fstatat(directory, "file", &st, 0) < 0)
		err(1, "fstatat file");
}

static void stat_absent(void)
{
	struct stat st;
	if (stat(absent, &st) == 0 || errno != ENOENT)
		err(1, "stat %s", absent);
}

static void spawn_true(void)
{
	extern char **environ;
	char *argv[] = {"true", NULL};
	pid_t pid;
	int status, error = posix_spawn(&pid, "/bin/true", NULL, NULL, argv, environ);
	if (error != 0)
		errx(1, "posix_spawn: %s", strerror(error));
	if (waitpid(pid, &status, 0) < 0 || status != 0)
		errx(1, "/bin/true: status %d", status);
}

static void *nothing(void *arg)
{
	return arg;
}

static void create_join(void)
{
	pthread_t thread;
	int error = pthread_create(&thread, NULL, nothing, NULL);
	if (error != 0)
		errx(1, "pthread_create: %s", strerror(error));
	pthread_join(thread, NULL);
}

static const struct call {
	const char *name;
	void (*make)(void);
	int batch; /* calls between two looks at the clock */
} calls[] = {
	{"stat", stat_file, 16},
	{"open+close", open_close, 16},
	{"fstatat", fstatat_relative, 16},
	{"stat-absent", stat_absent, 16},
	{"spawn", spawn_true, 1},
	{"thread", create_join, 1},
};

/* What the processes share. */
static struct shared {
	pthread_barrier_t start;
	double rate[MAX_WORKERS]; /* calls a nanosecond */
} *shared;

static const struct call *call;
static long duration; /* nanoseconds */

static long now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000L + t.tv_nsec;
}

/* Makes calls for so long; returns how many it made in how long. */
static double make_calls(long nanoseconds)
{
	long begun = now(), made = 0, passed;
	do {
		for (int i = 0; i < call->batch; i++)
			call->make();
		made += call->batch;
	} while ((passed = now() - begun) < nanoseconds);
	return (double)made / passed;
}

static void *work(void *rate)
{
	pthread_barrier_wait(&shared->start);
	make_calls(duration / 8); /* caches fill, clocks rise */
	*(double *)rate = make_calls(duration);
	return NULL;
}

static void run_threads(int count, double *rates)
{
	pthread_t threads[MAX_WORKERS];
	for (int i = 1; i < count; i++)
		if (pthread_create(&threads[i], NULL, work, &rates[i]) != 0)
			errx(1, "pthread_create");
	work(&rates[0]);
	for (int i = 1; i < count; i++)
		pthread_join(threads[i], NULL);
}

static const struct call *find(const char *name)
{
	for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++)
		if (strcmp(calls[i].name, name) == 0)
			return &calls[i];
	errx(2, "no call named %s", name);
}

int main(int argc, char **argv)
{
	if (argc != 6)
		errx(2, "usage: loop CALL DIRECTORY THREADS PROCESSES MILLISECONDS");
	int threads = atoi(argv[3]), processes = atoi(argv[4]), status, failed = 0;
	if (threads < 1 || processes < 1 || threads * processes > MAX_WORKERS)
		errx(2, "%d threads in each of %d processes", threads, processes);
	call = find(argv[1]);
	duration = atol(argv[5]) * 1000000L;
	snprintf(file, sizeof file, "%s/file", argv[2]);
	snprintf(absent, sizeof absent, "%s/absent", argv[2]);
	if ((directory = open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		err(1, "open %s", argv[2]);

	shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		err(1, "mmap");
	pthread_barrierattr_t across;
	pthread_barrierattr_init(&across);
	pthread_barrierattr_setpshared(&across, PTHREAD_PROCESS_SHARED);
	pthread_barrier_init(&shared->start, &across, threads * processes);

	for (int p = 1; p < processes; p++)
		if (fork() == 0) {
			run_threads(threads, &shared->rate[p * threads]);
			_exit(0);
		}
	run_threads(threads, shared->rate);
	while (wait(&status) > 0)
		failed |= status;
	if (failed)
		errx(1, "a process failed");

	double rate = 0;
	for (int i = 0; i < threads * processes; i++)
		rate += shared->rate[i];
	printf("%.1f\n", 1 / rate);
	return 0;
}
