/* Libraries ask which flags the kernel has by installing a filter that is not there. */
#include "selfcheck.h"

enum { SET_MODE_FILTER = 1, LOG = 1 << 1, NEW_LISTENER = 1 << 3 };

int main(int argc, char **argv)
{
	(void)argc;
	scratch(argv);
	begin();
	untraced(syscall(SYS_seccomp, SET_MODE_FILTER, LOG, NULL), EFAULT);
	untraced(syscall(SYS_seccomp, SET_MODE_FILTER, NEW_LISTENER, NULL), EFAULT);
	untraced(syscall(SYS_seccomp, SET_MODE_FILTER, NEW_LISTENER, 8L), EFAULT);
	return end();
}
