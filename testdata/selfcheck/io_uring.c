/* Requests on a ring pass no filter, so there are no rings. Nothing is accessed. */
#include "selfcheck.h"

int main(int argc, char **argv)
{
	(void)argc;
	char params[256] = "";

	scratch(argv);
	begin();
	untraced(syscall(SYS_io_uring_setup, 8, params), ENOSYS);
	untraced(syscall(SYS_io_uring_setup, 8, NULL), ENOSYS);
	return end();
}
