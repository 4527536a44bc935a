/*
 * Prints what a program inherits from whoever executes it, into the file that the
 * first argument names. What no two processes have in common, their own numbers, is
 * left out.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

extern char **environ;
static FILE *out;

/* Lines of a file of /proc whose names are in keys. */
static void lines(const char *path, const char *const *keys)
{
	char line[4096];
	FILE *f = fopen(path, "re");

	while (f && fgets(line, sizeof line, f))
		for (const char *const *key = keys; *key; key++)
			if (strncmp(line, *key, strlen(*key)) == 0)
				fprintf(out, "%s %s", path, line);
	if (f)
		fclose(f);
}

static void descriptors(int dirfd)
{
	char name[64], target[4096];

	for (int fd = 0; fd < 1024; fd++) {
		struct stat st;
		int flags = fcntl(fd, F_GETFL);

		if (flags < 0 || fd == fileno(out) || fd == dirfd)
			continue;
		snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
		ssize_t n = readlink(name, target, sizeof target);
		fstat(fd, &st);
		fprintf(out, "fd %d: %.*s flags %#x fdflags %d mode %o offset %ld\n", fd, (int)n, target, flags,
			fcntl(fd, F_GETFD), st.st_mode, (long)lseek(fd, 0, SEEK_CUR));
	}
}

int main(int argc, char **argv)
{
	static const char *const status[] = {
		"Name:", "Umask:", "Uid:", "Gid:", "Groups:", "Threads:", "SigPnd:", "ShdPnd:", "SigBlk:", "SigIgn:", "SigCgt:",
		"CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:", "Cpus_allowed:", "Mems_allowed:", "THP_enabled:", NULL,
	};
	static const char *const all[] = {"", NULL};
	static const char *const files[] = {
		"/proc/self/oom_score_adj", "/proc/self/timerslack_ns", "/proc/self/coredump_filter", "/proc/self/cgroup",
		"/proc/self/limits", "/proc/self/loginuid", "/proc/self/sessionid", NULL,
	};
	struct sched_param param;
	struct itimerval timer;
	char cwd[4096], tty[256];

	if (argc < 2 || !(out = fopen(argv[1], "we")))
		return 1;
	for (int i = 0; i < argc; i++)
		fprintf(out, "argv %d: %s\n", i, argv[i]);
	for (char **e = environ; *e; e++)
		fprintf(out, "env %s\n", *e);
	fprintf(out, "cwd %s\n", getcwd(cwd, sizeof cwd) ? cwd : strerror(errno));
	fprintf(out, "execfn %s\n", (const char *)getauxval(AT_EXECFN));
	fprintf(out, "group %d session %d\n", getpgrp(), getsid(0));
	int fd = open("/dev/tty", O_RDWR | O_CLOEXEC);
	fprintf(out, "terminal %s group %d\n", fd < 0 ? strerror(errno) : ttyname_r(fd, tty, sizeof tty) ? "?" : tty,
		fd < 0 ? 0 : tcgetpgrp(fd));
	if (fd >= 0)
		close(fd);
	errno = 0;
	fprintf(out, "nice %d\n", getpriority(PRIO_PROCESS, 0));
	sched_getparam(0, &param);
	fprintf(out, "scheduler %d priority %d io %ld\n", sched_getscheduler(0), param.sched_priority,
		syscall(SYS_ioprio_get, 1, 0));
	fprintf(out, "personality %#x\n", personality(0xffffffff));
	for (int which = ITIMER_REAL; which <= ITIMER_PROF; which++) {
		getitimer(which, &timer);
		fprintf(out, "timer %d %s\n", which, timer.it_value.tv_sec || timer.it_value.tv_usec ? "runs" : "is off");
	}
	int reaper = 0, death = 0;
	prctl(PR_GET_CHILD_SUBREAPER, &reaper);
	prctl(PR_GET_PDEATHSIG, &death);
	fprintf(out, "subreaper %d pdeathsig %d dumpable %d keepcaps %d securebits %d thp %d secure %lu\n", reaper, death,
		prctl(PR_GET_DUMPABLE), prctl(PR_GET_KEEPCAPS), prctl(PR_GET_SECUREBITS), prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0),
		getauxval(AT_SECURE));
	lines("/proc/self/status", status);
	for (const char *const *file = files; *file; file++)
		lines(*file, all);
	/* The slack to go back to is the one of the parent when it forked, whoever that was:
	   only the usual one is the same. */
	if (prctl(PR_GET_TIMERSLACK) == 50000) {
		prctl(PR_SET_TIMERSLACK, 0);
		fprintf(out, "timer slack by default %d\n", prctl(PR_GET_TIMERSLACK));
	}
	/* A signal that is caught by a handler of ours shows whether it was ignored. */
	for (int sig = 1; sig < NSIG; sig++) {
		struct sigaction old;

		if (sigaction(sig, NULL, &old) == 0 && (old.sa_handler != SIG_DFL || old.sa_flags & ~0x04000000))
			fprintf(out, "signal %d: %s flags %#x\n", sig, old.sa_handler == SIG_IGN ? "ignored" : "?", old.sa_flags);
	}
	descriptors(-1);
	return fclose(out) != 0;
}
