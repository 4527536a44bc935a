/* A thread that is not the leader runs a program: it takes the leader's place. */
#include "follow.h"
#include <pthread.h>

static char **arguments;

static void *run(void *unused)
{
	char *const environment[] = {NULL};
	char *const stage2[] = {arguments[0], arguments[1], "stage2", NULL};

	(void)unused;
	syscall(SYS_execve, arguments[0], stage2, environment);
	die("execve: %s\n", strerror(errno));
	return NULL;
}

int main(int argc, char **argv)
{
	if (argc > 2) {
		resume(1);
		begin();
		traced(syscall(SYS_faccessat, AT_FDCWD, "f", F_OK), 0,
		       "faccessat stat file ~/f as \"f\"");
		return end();
	}
	char ld[8192] = "";
	pthread_t thread;

	scratch(argv);
	render("processes");
	file("f");
	if (interpreter())
		follow(ld, sizeof ld, interpreter());
	arguments = argv;
	begin();

	expect("execve exec file %s", argv[0]);
	expect_interpreter(getpid(), ld);
	step(getpid(), "exec %s", argv[0]);
	flush();
	if (pthread_create(&thread, NULL, run, NULL))
		die("pthread_create\n");
	pthread_join(thread, NULL);
	return 1;
}
