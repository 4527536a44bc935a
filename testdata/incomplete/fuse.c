// fuse MOUNTPOINT COMMAND [ARGUMENT...] runs a command beside a FUSE server, which has
// mounted a file system at MOUNTPOINT, and unmounts that. The server makes a file call of
// its own before it answers anything. There is a file in it, f; its other names are:
//
//	late	is answered with EIO, for the first time after 6 seconds
//	unmount	the server unmounts the file system, and answers with EIO
//	stop	the server stops itself before it answers for the first time
//	hold	is like f, but the server stops itself when it is read
//	keep	is like f, but the server stops itself when it is closed
//
// The file MOUNTPOINT.pid tells the server's process id.
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char content[] = "content\n";

static void die(const char *what) {
	perror(what);
	exit(1);
}

static void attributes(struct fuse_attr *a, uint64_t ino) {
	memset(a, 0, sizeof *a);
	a->ino = ino;
	a->mode = ino == FUSE_ROOT_ID ? S_IFDIR | 0755 : S_IFREG | 0644;
	a->nlink = 1;
	a->size = ino == FUSE_ROOT_ID ? 0 : strlen(content);
	a->mtime = a->ctime = 1000000000;
}

static void answer(int fd, uint64_t unique, int error, const void *data, size_t size) {
	static char out[1 << 16];
	struct fuse_out_header h = {sizeof h + (error ? 0 : size), -error, unique};
	memcpy(out, &h, sizeof h);
	if (!error)
		memcpy(out + sizeof h, data, size);
	if (write(fd, out, h.len) < 0 && errno != ENOENT)
		die("answer");
}

static int hold, keep;

static int lookup(const char *name, const char *mounted) {
	static int stopped, waited;
	struct timespec late = {6, 0}; // a lookup is abandoned after 2, or later on a busy machine
	if (!strcmp(name, "unmount")) {
		umount2(mounted, MNT_DETACH);
		return EIO;
	}
	if (!strcmp(name, "late")) {
		if (!waited++)
			nanosleep(&late, NULL);
		return EIO;
	}
	if (!strcmp(name, "stop") && !stopped++)
		raise(SIGSTOP);
	else if (!strcmp(name, "hold"))
		hold = 1;
	else if (!strcmp(name, "keep"))
		keep = 1;
	else if (strcmp(name, "f") && strcmp(name, "stop"))
		return ENOENT;
	return 0;
}

static void serve(int fd, const char *mounted) {
	static char in[1 << 17];
	for (;;) {
		ssize_t n = read(fd, in, sizeof in);
		if (n < 0 && (errno == EINTR || errno == ENOENT))
			continue;
		if (n < 0) // unmounted
			exit(0);
		struct fuse_in_header *h = (void *)in;
		int error = h->opcode == FUSE_LOOKUP ? lookup(in + sizeof *h, mounted) : 0;
		access("/", F_OK);
		switch (h->opcode) {
		case FUSE_INIT: {
			struct fuse_init_out out = {.major = FUSE_KERNEL_VERSION, .minor = 31, .max_write = 4096};
			answer(fd, h->unique, 0, &out, sizeof out);
			break;
		}
		case FUSE_LOOKUP: {
			struct fuse_entry_out out = {.nodeid = 2};
			attributes(&out.attr, 2);
			answer(fd, h->unique, error, &out, sizeof out);
			break;
		}
		case FUSE_GETATTR: {
			struct fuse_attr_out out = {0};
			attributes(&out.attr, h->nodeid);
			answer(fd, h->unique, 0, &out, sizeof out);
			break;
		}
		case FUSE_OPEN: {
			struct fuse_open_out out = {0};
			answer(fd, h->unique, 0, &out, sizeof out);
			break;
		}
		case FUSE_READ: {
			struct fuse_read_in *r = (void *)(h + 1);
			if (hold)
				raise(SIGSTOP);
			size_t from = r->offset < strlen(content) ? r->offset : strlen(content);
			answer(fd, h->unique, 0, content + from, strlen(content) - from);
			break;
		}
		case FUSE_RELEASE:
		case FUSE_FLUSH:
			if (keep)
				raise(SIGSTOP);
			answer(fd, h->unique, 0, "", 0);
			break;
		case FUSE_FORGET:
		case FUSE_BATCH_FORGET:
		case FUSE_INTERRUPT:
			break;
		default:
			answer(fd, h->unique, ENOSYS, NULL, 0);
		}
	}
}

int main(int argc, char **argv) {
	char options[200], pidfile[4096];
	if (argc < 3)
		return 2;
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		die("/dev/fuse");
	snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", fd);
	if (mount("test", argv[1], "fuse", MS_NOSUID | MS_NODEV, options))
		die("mount");
	pid_t server = fork();
	if (server == 0)
		serve(fd, argv[1]);
	close(fd);
	snprintf(pidfile, sizeof pidfile, "%s.pid", argv[1]);
	FILE *f = fopen(pidfile, "w");
	if (!f || fprintf(f, "%d\n", server) < 0 || fclose(f))
		die(pidfile);
	pid_t command = fork();
	if (command == 0) {
		execvp(argv[2], argv + 2);
		die(argv[2]);
	}
	int status;
	while (waitpid(command, &status, 0) < 0 && errno == EINTR)
		;
	umount2(argv[1], MNT_DETACH);
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}
