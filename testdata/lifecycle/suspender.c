/*
 * A program that uses the whole terminal, and stops as such programs do. When it
 * gets SIGTSTP it gives the terminal back as it was, and sends itself the signal
 * again with its default effect; when it is continued it takes the terminal again,
 * and draws anew. It draws each key that is pressed, and the size of the window
 * when that changes; q ends it. "group" makes it stop its whole group, as vim does;
 * "stop" makes it use SIGSTOP.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

static struct termios before;
static volatile sig_atomic_t stop, resize, stops, continues;
static int stopper = SIGTSTP, group;

static void on_tstp(int sig) { (void)sig; stop = 1; stops++; }
static void on_cont(int sig) { (void)sig; continues++; }
static void on_winch(int sig) { (void)sig; resize++; }

static void handle(int sig, void (*handler)(int))
{
	struct sigaction action = {.sa_handler = handler};

	sigaction(sig, &action, NULL);
}

static void take(void)
{
	struct termios raw;
	struct stat st;

	tcgetattr(0, &before);
	raw = before;
	raw.c_lflag &= ~(ICANON | ECHO);
	tcsetattr(0, TCSADRAIN, &raw);
	stat("/etc/hostname", &st); /* a file call between all this */
	printf("<drawn>\n");
}

static void give_back(void)
{
	struct stat st;

	printf("<given back>\n");
	stat("/etc/hostname", &st);
	tcsetattr(0, TCSADRAIN, &before);
}

static void suspend(void)
{
	sigset_t set;

	stop = 0;
	give_back();
	handle(SIGTSTP, SIG_DFL);
	kill(group ? 0 : getpid(), stopper);
	sigemptyset(&set);
	sigaddset(&set, SIGTSTP);
	sigprocmask(SIG_UNBLOCK, &set, NULL); /* it stops here */
	sigprocmask(SIG_BLOCK, &set, NULL);
	handle(SIGTSTP, on_tstp);
	take();
}

int main(int argc, char **argv)
{
	sigset_t blocked, open;
	struct pollfd input = {.fd = 0, .events = POLLIN};

	group = argc > 1 && strcmp(argv[1], "group") == 0;
	if (argc > 1 && strcmp(argv[1], "stop") == 0)
		stopper = SIGSTOP;
	setvbuf(stdout, NULL, _IONBF, 0);
	/* Signals come while it waits for keys, and at no other time. */
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGTSTP);
	sigaddset(&blocked, SIGWINCH);
	sigprocmask(SIG_BLOCK, &blocked, &open);
	handle(SIGTSTP, on_tstp);
	handle(SIGCONT, on_cont);
	handle(SIGWINCH, on_winch);
	take();
	for (;;) {
		struct winsize size;
		char key = 0;
		int n = ppoll(&input, 1, NULL, &open);

		if (n < 0 && errno != EINTR)
			break;
		if (n > 0 && (read(0, &key, 1) != 1 || key == 'q'))
			break;
		if (key)
			printf("<key %c>\n", key);
		if (resize) {
			resize = 0;
			ioctl(0, TIOCGWINSZ, &size);
			printf("<size %d %d>\n", size.ws_row, size.ws_col);
		}
		if (stop)
			suspend();
	}
	give_back();
	printf("<stops %d continues %d>\n", stops, continues);
	return 6;
}
