/*
 * 20,000 calls, or as many as STORM_CALLS says, while a signal comes 100 us after
 * the one before. A signal
 * restarts a call that waits for its tracer, which may then be told of it twice;
 * and a program whose handler has no SA_RESTART may get EINTR, from a call that
 * never gives it. The handler sets the timer again, so that the program gets on
 * however long a signal takes: it does under ptrace.
 */
#ifndef STORM_H
#define STORM_H

#include "selfcheck.h"
#include <signal.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

static volatile sig_atomic_t signals;

/* The C library has no part in this: one of them is enough. */
static void need_glibc(void)
{
#ifndef __GLIBC__
	skip("runs as built with glibc\n");
#endif
}

/* Makes the calls; a timer runs meanwhile. */
static void stat_often(void)
{
	static char b[1024];
	const char *setting = getenv("STORM_CALLS");
	int interrupted = 0, calls = setting ? atoi(setting) : 20000;

	for (int i = 0; i < calls; i++) {
		if (syscall(SYS_fstatat_, AT_FDCWD, "f", b, 0) == 0)
			continue;
		if (errno != EINTR)
			die("stat: %s\n", strerror(errno));
		interrupted++;
	}
	if (interrupted)
		die("EINTR from %d of %d calls\n", interrupted, calls);
	if (!signals)
		die("no signal came\n");
	step(0, "%d " ABI FSTATAT " stat file ~/f as \"f\"", calls);
}

#endif
