/*
 * Waits, in each call that returns EINTR after any signal, for a time, while signals come
 * that the process ignores: they interrupt nothing. Then the same with a signal that it
 * handles, which interrupts, and with one that is ignored before it; and while the process
 * is stopped and continued, which interrupts as well. Prints what each call returned.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CALLS = 8 };
static int done; /* the descriptor to which it reports each call */

static void handle(int sig) { (void)sig; }

/* Returns when a process sleeps, or has ended. */
static void until_asleep(pid_t pid)
{
	char name[32], text[512], state;

	snprintf(name, sizeof name, "/proc/%d/stat", pid);
	do {
		FILE *f = fopen(name, "r");
		if (!f)
			return;
		size_t n = fread(text, 1, sizeof text - 1, f);
		fclose(f);
		text[n] = 0;
		char *end = strrchr(text, ')');
		state = end ? end[2] : 'X';
	} while (state == 'R' || state == 't' || state == 'D');
}

/* Sends the parent signals, if any, while it sleeps, one after the other. */
static void send_all(const int *signals)
{
	pid_t parent = getpid(), child;

	if (!signals || (child = fork()) != 0)
		return;
	for (; *signals; signals++) {
		until_asleep(parent);
		kill(parent, *signals);
	}
	_exit(0); /* SIGCHLD, as well */
}

static void report(const char *name, long result)
{
	int error = errno;

	while (wait(NULL) > 0)
		;
	printf(" %s %ld %s", name, result, result < 0 ? strerrorname_np(error) : "-");
	fflush(stdout);
	write(done, "", 1);
}

static void all(const char *title, int ms, const int *signals)
{
	struct timespec wait = {ms / 1000, ms % 1000 * 1000000};
	struct timeval tv = {ms / 1000, ms % 1000 * 1000};
	struct epoll_event event;
	struct io_event done;
	struct sembuf down = {0, -1, 0};
	aio_context_t aio = 0;
	sigset_t set;
	int pair[2];
	char byte;

	printf("%s:", title);
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	sigprocmask(SIG_BLOCK, &set, NULL);
	int epoll = epoll_create1(0), sem = semget(IPC_PRIVATE, 1, 0600);
	socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
	setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
	syscall(SYS_io_setup, 1, &aio);

#define WAIT(name, call) (send_all(signals), errno = 0, report(name, call))
	WAIT("epoll_wait", epoll_wait(epoll, &event, 1, ms));
	WAIT("epoll_pwait", epoll_pwait(epoll, &event, 1, ms, &set));
	WAIT("epoll_pwait2", epoll_pwait2(epoll, &event, 1, &wait, NULL));
	WAIT("sigtimedwait", sigtimedwait(&set, NULL, &wait));
	WAIT("semtimedop", semtimedop(sem, &down, 1, &wait));
	WAIT("recv", recv(pair[0], &byte, 1, 0));
	WAIT("read", read(pair[0], &byte, 1));
	WAIT("io_getevents", syscall(SYS_io_getevents, aio, 1, 1, &done, &wait));
	putchar('\n');

	semctl(sem, 0, IPC_RMID);
	syscall(SYS_io_destroy, aio);
	close(epoll);
	close(pair[0]);
	close(pair[1]);
}

/* Stops and continues a child in each of its calls. */
static void stop_and_continue(void)
{
	int pipes[2], status;
	char byte;

	fflush(stdout);
	if (pipe(pipes))
		exit(1);
	done = pipes[1];
	pid_t child = fork();
	if (child == 0) {
		all("stopped", 10000, NULL);
		exit(0);
	}
	for (int i = 0; i < CALLS; i++) {
		until_asleep(child);
		kill(child, SIGSTOP);
		waitpid(child, &status, WUNTRACED);
		kill(child, SIGCONT);
		read(pipes[0], &byte, 1);
	}
	waitpid(child, &status, 0);
}

int main(void)
{
	struct sigaction handler = {.sa_handler = handle};

	done = open("/dev/null", O_WRONLY);
	signal(SIGUSR1, SIG_IGN);
	sigaction(SIGUSR2, &handler, NULL);
	all("child ends", 60, (int[]){0});
	all("ignored", 60, (int[]){SIGUSR1, 0});
	all("ignored by default", 60, (int[]){SIGWINCH, SIGURG, SIGCONT, 0});
	all("caught", 10000, (int[]){SIGUSR2, 0});
	all("ignored, then caught", 10000, (int[]){SIGUSR1, SIGUSR2, 0});
	stop_and_continue();
	return 0;
}
