// permission SCRIPT executes a script that it must allow itself to be opened: fanotify(7).
// Its listener makes a file call of its own before it answers.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/fanotify.h>
#include <sys/wait.h>
#include <unistd.h>

static void die(const char *what) {
	perror(what);
	exit(what[0] == 'f' && (errno == EPERM || errno == EINVAL || errno == ENOSYS) ? 77 : 1);
}

static void listen_to(int fan) {
	struct fanotify_event_metadata events[16], *e;
	for (;;) {
		ssize_t n = read(fan, events, sizeof events);
		if (n <= 0)
			_exit(1);
		for (e = events; FAN_EVENT_OK(e, n); e = FAN_EVENT_NEXT(e, n)) {
			struct fanotify_response r = {e->fd, FAN_ALLOW};
			access("/", F_OK);
			if (write(fan, &r, sizeof r) < 0)
				_exit(1);
			close(e->fd);
		}
	}
}

int main(int argc, char **argv) {
	if (argc != 2)
		return 2;
	int fan = fanotify_init(FAN_CLASS_CONTENT | FAN_CLOEXEC, O_RDONLY | O_CLOEXEC);
	if (fan < 0)
		die("fanotify_init");
	if (fanotify_mark(fan, FAN_MARK_ADD, FAN_OPEN_PERM, AT_FDCWD, argv[1]))
		die("fanotify_mark");
	pid_t listener = fork();
	if (listener == 0)
		listen_to(fan);
	close(fan);
	pid_t child = fork();
	if (child == 0) {
		execl(argv[1], argv[1], NULL);
		_exit(99);
	}
	int status;
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	kill(listener, SIGKILL);
	waitpid(listener, NULL, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}
