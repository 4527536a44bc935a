/* lingers FILE: an orphan that has a seccomp filter opens FILE and ends. It prints its
 * process id. */
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog program = {1, &allow};
	pid_t parent = getpid();

	if (argc != 2 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		return 77;
	if (fork() != 0)
		return 0;
	while (getppid() == parent)
		usleep(1000);
	if (open(argv[1], O_RDONLY) < 0)
		return 1;
	printf("%d\n", getpid());
	return fflush(stdout) != 0;
}
