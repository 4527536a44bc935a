/* Three generations at once: each process has its own directory, parent and end. */
#include "selfcheck.h"
#include <signal.h>
#include <sys/wait.h>

enum { CHILDREN = 3, GENERATIONS = 3 };

/* Makes a directory, goes there, and has children do the same. */
static void grow(int generation, int number, const char *place)
{
	char name[32], below[4096];
	pid_t children[CHILDREN];

	snprintf(name, sizeof name, "p%d", number);
	snprintf(below, sizeof below, "%s/%s", place, name);
	traced(syscall(SYS_mkdirat, AT_FDCWD, name, 0755), 0, "mkdirat create absent %s as \"%s\"",
	       below, name);
	traced(syscall(SYS_chdir, name), 0, "chdir chdir dir %s as \"%s\"", below, name);
	if (generation == GENERATIONS)
		return;

	for (int i = 0; i < CHILDREN; i++) {
		children[i] = split();
		if (children[i] == 0) {
			step(getpid(), "start parent=%d", getppid());
			grow(generation + 1, i, below);
			flush();
			if (i == 2)
				kill(getpid(), SIGKILL);
			_exit(i);
		}
	}
	for (int i = 0; i < CHILDREN; i++) {
		int status;
		must(waitpid(children[i], &status, 0));
		if (i == 2 && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
			step(children[i], "exit SIGKILL");
		else if (i < 2 && WIFEXITED(status) && WEXITSTATUS(status) == i)
			step(children[i], "exit %d", i);
		else
			die("child %d ended with status %#x\n", i, status);
	}
}

int main(int argc, char **argv)
{
	(void)argc;
	scratch(argv);
	render("processes");
	begin();
	grow(1, 0, "~");
	return end();
}
