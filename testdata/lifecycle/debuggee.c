/*
 * What debuggers are tried on: a function to break in, a file that is opened, a
 * thread, and an exit status. With an argument it waits to be attached to: it
 * opens the FIFO of that name for reading, and goes on at its end of file.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

static int leaf(int n)
{
	int fd = open("/etc/hostname", O_RDONLY);

	close(fd);
	return n + 1;
}

static void *thread(void *n)
{
	*(int *)n = leaf(*(int *)n);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t other;
	int n = 40;

	if (argc > 1) {
		char c;
		int fd = open(argv[1], O_RDONLY);

		while (read(fd, &c, 1) > 0)
			;
	}
	if (pthread_create(&other, NULL, thread, &n) || pthread_join(other, NULL))
		return 1;
	n = leaf(n);
	printf("n is %d\n", n);
	return n;
}
