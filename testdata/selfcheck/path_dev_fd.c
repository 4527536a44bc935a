/* /dev/fd is a link into /proc/self: what is opened is the caller's descriptor. */
#include "selfcheck.h"

int main(int argc, char **argv)
{
	(void)argc;
	const int me = getpid();
	char fd[64], target[64] = "";

	scratch(argv);
	file("f");
	if (readlink("/dev/fd", target, sizeof target - 1) < 0 || strcmp(target, "/proc/self/fd"))
		skip("needs /dev/fd, a link to /proc/self/fd\n");
	int n = must(open("f", O_RDONLY));
	snprintf(fd, sizeof fd, "/dev/fd/%d", n);
	begin();

	traced(syscall(SYS_openat, AT_FDCWD, fd, O_RDONLY), 0,
	       "openat read file /proc/%d/fd/%d as \"%s\" "
	       "links=/dev/fd>/proc/self/fd,/proc/self>%d,/proc/%d/fd/%d>~/f real=~/f",
	       me, n, fd, me, me, n);
	traced(syscall(SYS_openat, AT_FDCWD, "/dev/fd/999", O_RDONLY), ENOENT,
	       "openat read absent /proc/%d/fd/999 as \"/dev/fd/999\" "
	       "links=/dev/fd>/proc/self/fd,/proc/self>%d",
	       me, me);
	return end();
}
