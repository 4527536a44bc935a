/* Through /proc/PID/root into another mount namespace. */
#include "selfcheck.h"
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>

int main(int argc, char **argv)
{
	(void)argc;
	char path[9000], link[64], c;
	const int at = AT_FDCWD;
	int ready[2];

	scratch(argv);
	dir("real");
	file("real/f");
	dir("here");
	dir("mem");
	must(pipe(ready));
	pid_t child = must(fork());
	if (child == 0) {
		c = unshare(CLONE_NEWNS) || mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
		    mount("real", "here", NULL, MS_BIND, NULL) || mount("none", "mem", "tmpfs", 0, NULL);
		must(write(ready[1], &c, 1));
		for (;;)
			pause();
	}
	must(read(ready[0], &c, 1));
	if (c) {
		kill(child, SIGKILL);
		skip("no mount namespace\n");
	}
	begin();

	snprintf(link, sizeof link, "/proc/%d/root", child);
	snprintf(path, sizeof path, "%s%s/here/f", link, home);
	traced(syscall(SYS_faccessat, at, path, F_OK), 0,
	       "faccessat stat file ~/real/f as \"%s~/here/f\" links=%s>/", link, link);
	snprintf(path, sizeof path, "%s%s/here/no", link, home);
	traced(syscall(SYS_faccessat, at, path, F_OK), ENOENT,
	       "faccessat stat absent ~/real/no as \"%s~/here/no\" links=%s>/", link, link);
	snprintf(path, sizeof path, "/proc/%d/cwd/here/f", child);
	traced(syscall(SYS_faccessat, at, path, F_OK), 0,
	       "faccessat stat file ~/real/f as \"%s\" links=/proc/%d/cwd>~", path, child);

	must(unshare(CLONE_NEWNS)); /* the reader is in a third one */
	snprintf(path, sizeof path, "%s%s/mem/no", link, home);
	traced(syscall(SYS_faccessat, at, path, F_OK), ENOENT,
	       "faccessat stat absent tmpfs:~/mem/no as \"%s~/mem/no\" links=%s>/", link, link);
	kill(child, SIGKILL);
	must(waitpid(child, NULL, 0));
	return end();
}
