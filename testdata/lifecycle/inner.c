/* Asks for a socket of the fstrace above as one inside its session does (docs/nested.md),
 * and then does what none does. argv[1] says what. It exits with 77 without one. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static int find(void) { return syscall(SYS_seccomp, 0x66737472, 1, 0x6e657374L); }

static int files(const char *name, int n)
{
	for (int i = 0; i < n; i++) {
		int fd = open(name, O_RDWR);
		if (fd < 0)
			return 1;
		close(fd);
	}
	return 0;
}

/* varint of a positive number, zigzag */
static int number(unsigned char *b, unsigned v)
{
	int n = 0;
	for (v <<= 1; v >= 0x80; v >>= 7)
		b[n++] = v | 0x80;
	b[n++] = v;
	return n;
}

static int join(int s, int pid, int guard, int linked)
{
	unsigned char b[32];
	int n = 5;
	b[4] = 'J';
	n += number(b + n, pid);
	b[n++] = guard;
	b[n++] = linked;
	b[n++] = 0;
	b[0] = n - 4;
	b[1] = b[2] = b[3] = 0;
	if (send(s, b, n, MSG_NOSIGNAL) != n)
		return -1;
	for (;;) { /* a guard's socket comes first; its descriptor is kept */
		char control[CMSG_SPACE(sizeof(int))];
		struct iovec to = {b, 5};
		struct msghdr m = {.msg_iov = &to, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
		if (recvmsg(s, &m, MSG_WAITALL) != 5)
			return -1;
		if (b[4] != 'G')
			return b[4];
	}
}

int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[1] : "";
	int s = find(), go[2], status;
	if (s < 0)
		return 77;
	if (!strcmp(what, "close")) {
		close(s);
	} else if (!strcmp(what, "silent")) {
		/* nothing */
	} else if (!strcmp(what, "garbage")) {
		unsigned x = 1;
		for (int i = 0; i < 200; i++) {
			unsigned char b[200];
			for (unsigned j = 0; j < sizeof b; j++)
				b[j] = (x = x * 1103515245 + 12345) >> 16;
			if (i % 2)
				memcpy(b, "\3\0\0\0J", 5);
			send(s, b, sizeof b, MSG_NOSIGNAL);
			close(s);
			if ((s = find()) < 0)
				return 1;
		}
	} else if (!strcmp(what, "huge")) {
		send(s, "\377\377\377\377J", 5, MSG_NOSIGNAL);
	} else if (!strcmp(what, "many")) {
		int n = 1;
		while (n < 2000 && find() >= 0)
			n++;
		if (n != 256) {
			fprintf(stderr, "%d sockets\n", n);
			return 1;
		}
	} else if (!strcmp(what, "foreign")) { /* the outer fstrace, and one that is not there */
		if (join(s, getppid(), 0, 1) != 'N')
			return 1;
		if ((s = find()) < 0 || join(s, 0x3fffffff, 0, 0) != 'N')
			return 1;
	} else if (!strcmp(what, "early")) { /* signals and the end before there is a command */
		send(s, "\2\0\0\0S\22", 6, MSG_NOSIGNAL);
		if ((s = find()) < 0)
			return 1;
		send(s, "\2\0\0\0F\1", 6, MSG_NOSIGNAL);
	} else { /* unread: events are not read; unanswered: nor is the guard */
		if (pipe2(go, O_CLOEXEC))
			return 1;
		pid_t pid = fork();
		if (pid == 0) {
			char c;
			return read(go[0], &c, 1) == 1 ? files(argv[2], !strcmp(what, "unread") ? 150000 : 3) : 1;
		}
		int reply = join(s, pid, !strcmp(what, "unanswered"), 0);
		if (reply != 'Y') {
			fprintf(stderr, "reply %d\n", reply);
			return 1;
		}
		if (write(go[1], "g", 1) != 1 || waitpid(pid, &status, 0) != pid || status)
			return 1;
	}
	return files(argv[2], 3);
}
