/* In a pid namespace a process has two ids: the record has the outer one. */
#include "selfcheck.h"
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

int main(int argc, char **argv)
{
	(void)argc;
	int status;

	scratch(argv);
	render("processes");
	file("f");
	begin();

	pid_t child = syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0);
	if (child < 0)
		skip("pid namespace: %s\n", strerror(errno));
	if (child == 0) {
		if (getpid() != 1)
			die("not the first of a pid namespace\n");
		must(syscall(SYS_faccessat, AT_FDCWD, "f", F_OK));
		must(syscall(SYS_faccessat, AT_FDCWD, "/proc/self/status", F_OK));
		_exit(0);
	}
	must(waitpid(child, &status, 0));
	if (status)
		die("child ended with status %#x\n", status);
	step(child, "start parent=%d", getpid());
	expect_of(child, "faccessat stat file ~/f as \"f\"");
	/* /proc is that of the namespace outside. */
	expect_of(child, "faccessat stat file /proc/%d/status as \"/proc/self/status\" "
		  "links=/proc/self>%d", child, child);
	step(child, "exit 0");
	return end();
}
