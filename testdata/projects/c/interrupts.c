// Says so at each SIGINT that it gets, until it reads "end". A shell's trap
// would not do: it runs once for two signals in quick succession.
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void interrupted(int sig)
{
	const char text[] = "<interrupted>\n";
	(void)sig;
	if (write(STDOUT_FILENO, text, sizeof text - 1) < 0)
		_exit(1);
}

int main(void)
{
	char line[64];
	struct sigaction action = {.sa_handler = interrupted, .sa_flags = SA_RESTART};

	sigaction(SIGINT, &action, NULL);
	puts("<ready>");
	fflush(stdout);
	while (fgets(line, sizeof line, stdin))
		if (strcmp(line, "end\n") == 0) {
			puts("<end>");
			return 4;
		}
	return 1;
}
