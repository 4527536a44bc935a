/* The least that a supervisor can do: floor COMMAND [ARGUMENT...]
 *
 * Runs the command under a filter that notifies the calls that fstrace's does, and
 * for each of them receives the notification, reads 256 bytes where the path is, and
 * lets the call go on. It resolves nothing, follows no process and writes no record:
 * what a call costs here is the price of the mechanism, which no tracer that uses it
 * can go below.
 *
 * seccomp_unotify(2) explains it all. Left out is what the benchmarks can do without:
 * other ABIs than the machine's own, signals, and the command's end while others of
 * its processes live on (then floor waits for the last of them).
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

/* Newer than some headers. */
#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV /* Linux 5.19 */
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif
#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS /* Linux 6.6 */
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS _IOW('!', 4, __u64)
#endif
#define SYNC_WAKE_UP 1UL

/* What is notified, and which argument is the path: -1 where a descriptor is all.
 * The frequent ones come first, for the filter asks in this order. */
static const struct call {
	int number, path;
} calls[] = {
	{SYS_newfstatat, 1}, {SYS_openat, 1}, {SYS_getdents64, -1}, {SYS_readlinkat, 1},
	{SYS_statx, 1}, {SYS_faccessat, 1}, {SYS_faccessat2, 1}, {SYS_execve, 0},
#ifdef SYS_stat
	{SYS_stat, 0}, {SYS_lstat, 0}, {SYS_open, 0}, {SYS_access, 0}, {SYS_readlink, 0},
	{SYS_creat, 0}, {SYS_unlink, 0}, {SYS_rename, 0}, {SYS_mkdir, 0}, {SYS_rmdir, 0},
	{SYS_link, 0}, {SYS_symlink, 1}, {SYS_mknod, 0}, {SYS_chmod, 0}, {SYS_chown, 0},
	{SYS_lchown, 0}, {SYS_utime, 0}, {SYS_utimes, 0}, {SYS_futimesat, 1}, {SYS_getdents, -1},
#endif
	{SYS_openat2, 1}, {SYS_execveat, 1}, {SYS_chdir, 0}, {SYS_fchdir, -1}, {SYS_statfs, 0},
	{SYS_unlinkat, 1}, {SYS_renameat2, 1}, {SYS_mkdirat, 1}, {SYS_linkat, 1}, {SYS_symlinkat, 2},
	{SYS_mknodat, 1}, {SYS_truncate, 0}, {SYS_ftruncate, -1}, {SYS_fallocate, -1},
	{SYS_fchmod, -1}, {SYS_fchmodat, 1}, {SYS_fchown, -1}, {SYS_fchownat, 1}, {SYS_utimensat, 1},
	{SYS_getxattr, 0}, {SYS_lgetxattr, 0}, {SYS_listxattr, 0}, {SYS_llistxattr, 0},
	{SYS_setxattr, 0}, {SYS_lsetxattr, 0}, {SYS_fsetxattr, -1},
	{SYS_removexattr, 0}, {SYS_lremovexattr, 0}, {SYS_fremovexattr, -1},
	{SYS_bind, -1}, {SYS_connect, -1}, {SYS_inotify_add_watch, 1}, {SYS_name_to_handle_at, 1},
	{SYS_chroot, 0}, {SYS_mount, 1}, {SYS_umount2, 0}, {SYS_pivot_root, 0},
	{SYS_unshare, -1}, {SYS_setns, -1}, {SYS_ptrace, -1},
};

enum { CALLS = sizeof calls / sizeof calls[0], PATH_BYTES = 256 };

/* Puts the filter on this process, to last through its exec; returns the listener. */
static int install(void)
{
	struct sock_filter code[CALLS + 3] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	};
	for (int i = 0; i < CALLS; i++) /* on a match to the last instruction */
		code[1 + i] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, calls[i].number, CALLS - i, 0);
	code[CALLS + 1] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	code[CALLS + 2] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
	struct sock_fprog program = {CALLS + 3, code};

	unsigned long flags = SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_SPEC_ALLOW;
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	int listener = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, &program);
	if (listener < 0 && errno == EINVAL)
		listener = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
	if (listener < 0)
		err(125, "install filter");
	return listener;
}

/* A message of one byte with room for one descriptor: unix(7). */
union carrier {
	struct cmsghdr header;
	char room[CMSG_SPACE(sizeof(int))];
};

static struct msghdr message(union carrier *carrier)
{
	static char byte;
	static struct iovec one = {&byte, 1};
	return (struct msghdr){.msg_iov = &one, .msg_iovlen = 1, .msg_control = carrier, .msg_controllen = sizeof *carrier};
}

static void send_descriptor(int socket, int fd)
{
	union carrier carrier = {{.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof fd)}};
	memcpy(CMSG_DATA(&carrier.header), &fd, sizeof fd);
	struct msghdr m = message(&carrier);
	if (sendmsg(socket, &m, 0) < 0)
		err(125, "send listener");
}

static int receive_descriptor(int socket)
{
	union carrier carrier;
	struct msghdr m = message(&carrier);
	if (recvmsg(socket, &m, MSG_CMSG_CLOEXEC) <= 0 || m.msg_controllen < sizeof carrier.header)
		errx(125, "no listener");
	int fd;
	memcpy(&fd, CMSG_DATA(&carrier.header), sizeof fd);
	return fd;
}

static int path_argument(int number)
{
	for (int i = 0; i < CALLS; i++)
		if (calls[i].number == number)
			return calls[i].path;
	return -1;
}

/* Answers calls until nobody is left who could make any. */
static void serve(int listener)
{
	struct seccomp_notif call;
	char path[PATH_BYTES];

	for (;;) {
		memset(&call, 0, sizeof call); /* the kernel insists */
		if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call) < 0) {
			struct pollfd state = {listener, POLLIN, 0};
			poll(&state, 1, 0);
			if (state.revents & POLLHUP)
				return;
			continue; /* a signal, or the caller is gone */
		}
		int argument = path_argument(call.data.nr);
		if (argument >= 0) {
			struct iovec here = {path, sizeof path};
			struct iovec there = {(void *)call.data.args[argument], sizeof path};
			process_vm_readv(call.pid, &here, 1, &there, 1, 0);
		}
		struct seccomp_notif_resp reply = {.id = call.id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};
		while (ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &reply) < 0 && errno == EINTR)
			;
	}
}

int main(int argc, char **argv)
{
	int pair[2], status;
	if (argc < 2)
		errx(125, "usage: floor COMMAND [ARGUMENT...]");
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		err(125, "socketpair");

	pid_t child = fork();
	if (child < 0)
		err(125, "fork");
	if (child == 0) {
		int listener = install();
		send_descriptor(pair[1], listener);
		close(listener);
		execvp(argv[1], argv + 1);
		err(127, "%s", argv[1]);
	}
	close(pair[1]);
	int listener = receive_descriptor(pair[0]);
	ioctl(listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SYNC_WAKE_UP); /* if the kernel can */
	serve(listener);
	if (waitpid(child, &status, 0) < 0)
		err(125, "wait");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
