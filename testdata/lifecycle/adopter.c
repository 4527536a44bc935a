/* Makes processes whose parent, when they make their first file call, is not the process
 * that has made them. argv[1] says how:
 *
 *   orphan FILE       opens FILE in a grandchild, whose parent has ended by then
 *   sibling FILE      opens FILE in a child that is made with CLONE_PARENT
 *   child FILE        opens FILE in a child
 *   late FILE         opens FILE in a child, when its own parent has ended and is reaped
 *   stays FILE        the same, a second later, and does not end itself
 *   reaper FILE CMD   becomes a subreaper and runs CMD, which is one of the above, or has
 *                     it as a descendant; opens FILE in another child when that has begun
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { begun = 8, go_on = 9 }; /* descriptors, of a reaper's descendants */

/* opens a file once a pipe has no writer */
static void opens(const char *file, int *go)
{
	char c;
	close(go[1]);
	(void)!read(go[0], &c, 1);
	_exit(open(file, O_RDONLY) < 0);
}

static int reaper(char **argv)
{
	int begins[2], goes[2], status;
	char c;
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) || pipe2(begins, O_CLOEXEC) || pipe2(goes, O_CLOEXEC))
		return 77;
	pid_t command = fork();
	if (command == 0) {
		dup2(begins[1], begun);
		dup2(goes[0], go_on);
		execvp(argv[3], argv + 3);
		_exit(127);
	}
	close(begins[1]);
	if (read(begins[0], &c, 1) == 1) {
		pid_t own = fork();
		if (own == 0)
			_exit(open(argv[2], O_RDONLY) < 0);
		waitpid(own, &status, 0);
	}
	(void)!write(goes[1], "", 1);
	while (waitpid(-1, &status, 0) != command)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

int main(int argc, char **argv)
{
	int go[2], done[2];
	char c;
	if (argc < 3)
		return 77;
	if (!strcmp(argv[1], "reaper"))
		return reaper(argv);
	if (write(begun, "", 1) == 1)
		(void)!read(go_on, &c, 1);
	if (pipe2(go, O_CLOEXEC) || pipe2(done, O_CLOEXEC))
		return 77;
	if (!strcmp(argv[1], "sibling")) {
		if (syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0) == 0)
			opens(argv[2], go);
	} else if (!strcmp(argv[1], "orphan")) {
		pid_t middle = fork();
		if (middle == 0) {
			if (fork() == 0)
				opens(argv[2], go);
			_exit(0);
		}
		waitpid(middle, 0, 0);
	} else if (!strcmp(argv[1], "late") || !strcmp(argv[1], "stays")) {
		pid_t parent = getppid();
		if (fork() == 0) {
			while (parent != 1 && kill(parent, 0) == 0)
				usleep(1000);
			if (!strcmp(argv[1], "stays"))
				sleep(1); /* time to be killed */
			_exit(open(argv[2], O_RDONLY) < 0);
		}
		if (!strcmp(argv[1], "stays"))
			pause();
		_exit(0);
	} else if (fork() == 0) {
		opens(argv[2], go);
	}
	close(go[0]);
	close(go[1]);
	close(done[1]);
	(void)!read(done[0], &c, 1); /* nobody else has it any more */
	return 0;
}
