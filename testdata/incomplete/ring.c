/* Sets up a ring, whose requests pass no filter. */
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void)
{
	char params[256] = "";
	long fd = syscall(SYS_io_uring_setup, 8, params);

	if (fd < 0)
		perror("io_uring_setup"); /* where the administrator forbids it */
	return 0;
}
