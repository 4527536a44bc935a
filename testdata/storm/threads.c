/* Eight processes make five hundred threads each, as fast as they can; each thread
 * looks up one file. Prints how many of the processes ended well. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PROCESSES = 8, THREADS = 500 };

static void *look(void *arg)
{
	access("/etc/passwd", F_OK);
	return arg;
}

static void storm(void)
{
	for (int i = 0; i < THREADS; i++) {
		pthread_t thread;
		if (pthread_create(&thread, NULL, look, NULL) != 0)
			exit(1);
		if (pthread_join(thread, NULL) != 0)
			exit(1);
	}
	exit(0);
}

int main(void)
{
	int well = 0, status;
	for (int p = 0; p < PROCESSES; p++)
		if (fork() == 0)
			storm();
	while (wait(&status) > 0)
		well += status == 0;
	printf("%d\n", well);
	return 0;
}
