/* A handler with SA_RESTART, and setitimer's signals. */
#include "storm.h"

static const struct itimerval soon = {{0, 0}, {0, 100}}, never;

static void again(int signal)
{
	(void)signal;
	signals++;
	setitimer(ITIMER_REAL, &soon, NULL);
}

int main(int argc, char **argv)
{
	(void)argc;
	struct sigaction action = {.sa_handler = again, .sa_flags = SA_RESTART};

	need_glibc();
	scratch(argv);
	render("count");
	file("f");
	must(sigaction(SIGALRM, &action, NULL));
	begin();
	must(setitimer(ITIMER_REAL, &soon, NULL));
	stat_often();
	signal(SIGALRM, SIG_IGN);
	must(setitimer(ITIMER_REAL, &never, NULL));
	return end();
}
