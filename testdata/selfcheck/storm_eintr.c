/* A handler without SA_RESTART, and timer_create's signals. */
#include "storm.h"

static const struct itimerspec soon = {{0, 0}, {0, 100000}};
static timer_t timer;

static void again(int signal)
{
	(void)signal;
	signals++;
	timer_settime(timer, 0, &soon, NULL);
}

int main(int argc, char **argv)
{
	(void)argc;
	struct sigaction action = {.sa_handler = again};
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};

	need_glibc();
	scratch(argv);
	render("count");
	file("f");
	must(sigaction(SIGUSR1, &action, NULL));
	must(timer_create(CLOCK_MONOTONIC, &event, &timer));
	begin();
	must(timer_settime(timer, 0, &soon, NULL));
	stat_often();
	signal(SIGUSR1, SIG_IGN);
	must(timer_delete(timer));
	return end();
}
