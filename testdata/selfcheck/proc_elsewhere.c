/* A procfs that is not mounted at /proc: "self" is still whoever reads it. */
#include "selfcheck.h"
#include <sched.h>
#include <sys/mount.h>

int main(int argc, char **argv)
{
	(void)argc;
	const int at = AT_FDCWD, pid = getpid();

	scratch(argv);
	dir("p");
	file("f");
	int fd = must(open("f", O_RDONLY));
	if (unshare(CLONE_NEWNS))
		skip("mount namespace: %s\n", strerror(errno));
	if (mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) || mount("none", "p", "proc", 0, NULL))
		skip("mount: %s\n", strerror(errno));
	begin();

	traced(syscall(SYS_faccessat, at, "p/self/status", F_OK), 0,
	       "faccessat stat file proc:~/p/%d/status as \"p/self/status\" links=proc:~/p/self>%d", pid, pid);
	traced(syscall(SYS_faccessat, at, "p/thread-self/status", F_OK), 0,
	       "faccessat stat file proc:~/p/%d/task/%d/status as \"p/thread-self/status\" "
	       "links=proc:~/p/thread-self>%d/task/%d", pid, pid, pid, pid);
	traced(syscall(SYS_faccessat, at, "p/self/cwd/f", F_OK), 0,
	       "faccessat stat file ~/f as \"p/self/cwd/f\" links=proc:~/p/self>%d,proc:~/p/%d/cwd>~", pid, pid);
	char by_fd[64];
	snprintf(by_fd, sizeof by_fd, "p/%d/fd/%d", pid, fd);
	traced(syscall(SYS_faccessat, at, by_fd, F_OK), 0,
	       "faccessat stat file proc:~/%s as \"%s\" links=proc:~/%s>~/f real=~/f", by_fd, by_fd, by_fd);
	return end();
}
