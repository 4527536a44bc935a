/* /proc/self and its like mean the caller, who is not the one that looks. */
#include "selfcheck.h"

int main(int argc, char **argv)
{
	(void)argc;
	const int at = AT_FDCWD, me = getpid();
	static char b[4096];
	char fd[64];

	scratch(argv);
	file("f");
	if (access("/proc/self/fd", F_OK) || access("/proc/thread-self", F_OK))
		skip("needs /proc\n");
	snprintf(fd, sizeof fd, "/proc/self/fd/%d", (int)must(open("f", O_RDONLY)));
	begin();

	traced(syscall(SYS_openat, at, "/proc/self/status", O_RDONLY), 0,
	       "openat read file /proc/%d/status as \"/proc/self/status\" links=/proc/self>%d",
	       me, me);
	traced(syscall(SYS_openat, at, "/proc/thread-self/status", O_RDONLY), 0,
	       "openat read file /proc/%d/task/%d/status as \"/proc/thread-self/status\" "
	       "links=/proc/thread-self>%d/task/%d",
	       me, me, me, me);
	traced(syscall(SYS_faccessat, at, "/proc/self", F_OK), 0,
	       "faccessat stat dir /proc/self links=/proc/self>%d real=/proc/%d", me, me);
	traced(syscall(SYS_readlinkat, at, "/proc/self", b, sizeof b), 0,
	       "readlinkat readlink symlink /proc/self");
	traced(syscall(SYS_readlinkat, at, "/proc/self/exe", b, sizeof b), 0,
	       "readlinkat readlink symlink /proc/%d/exe as \"/proc/self/exe\" "
	       "links=/proc/self>%d",
	       me, me);
	traced(syscall(SYS_openat, at, fd, O_RDONLY), 0,
	       "openat read file /proc/%d/fd/%s as \"%s\" "
	       "links=/proc/self>%d,/proc/%d/fd/%s>~/f real=~/f",
	       me, strrchr(fd, '/') + 1, fd, me, me, strrchr(fd, '/') + 1);
	traced(syscall(SYS_faccessat, at, "/proc/self/cwd/f", F_OK), 0,
	       "faccessat stat file ~/f as \"/proc/self/cwd/f\" "
	       "links=/proc/self>%d,/proc/%d/cwd>~",
	       me, me);
	traced(syscall(SYS_faccessat, at, "/proc/self/root/no", F_OK), ENOENT,
	       "faccessat stat absent /no as \"/proc/self/root/no\" "
	       "links=/proc/self>%d,/proc/%d/root>/",
	       me, me);
	return end();
}
