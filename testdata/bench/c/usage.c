/* Runs a command and writes what it used to FILE: usage FILE COMMAND [ARGUMENT...]
 * "PEAK-KILOBYTES CPU-NANOSECONDS WALL-NANOSECONDS", of the command's own process,
 * which is the supervisor if the command is a tracer.
 *
 * A program of its own, and a small one, because a process starts with the peak of
 * whoever forked it: measured from a Go program everything takes tens of megabytes.
 */
#define _GNU_SOURCE
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* The processor time of a process that has ended and is not yet reaped. What wait4
 * tells later has that of its children in it, the tracees. */
static long long own_cpu(pid_t pid)
{
	char name[64], line[4096];
	unsigned long long user, system;
	snprintf(name, sizeof name, "/proc/%d/stat", pid);
	FILE *f = fopen(name, "r");
	if (f == NULL || fgets(line, sizeof line, f) == NULL)
		err(125, "%s", name);
	fclose(f);
	/* Behind the program's name, which may hold anything: proc_pid_stat(5). */
	const char *rest = strrchr(line, ')');
	if (rest == NULL || sscanf(rest + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user, &system) != 2)
		errx(125, "%s: %s", name, line);
	return (user + system) * (1000000000LL / sysconf(_SC_CLK_TCK));
}

int main(int argc, char **argv)
{
	if (argc < 3)
		errx(125, "usage: usage FILE COMMAND [ARGUMENT...]");
	FILE *out = fopen(argv[1], "we");
	if (out == NULL)
		err(125, "%s", argv[1]);

	long long begun = now();
	pid_t pid = fork();
	if (pid < 0)
		err(125, "fork");
	if (pid == 0) {
		execvp(argv[2], argv + 2);
		err(127, "%s", argv[2]);
	}
	siginfo_t info;
	if (waitid(P_PID, pid, &info, WEXITED | WNOWAIT) < 0)
		err(125, "waitid");
	long long wall = now() - begun, cpu = own_cpu(pid);

	/* The peak is the highest of the command and of those it has reaped. The tracees of
	 * these benchmarks are small. */
	int status;
	struct rusage used;
	if (wait4(pid, &status, 0, &used) < 0)
		err(125, "wait4");
	fprintf(out, "%ld %lld %lld\n", used.ru_maxrss, cpu, wall);
	if (fclose(out) != 0)
		err(125, "%s", argv[1]);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
