/* In a mount namespace of its own, paths are recorded as the host names them. */
#include "selfcheck.h"
#include <sched.h>
#include <sys/mount.h>

int main(int argc, char **argv)
{
	(void)argc;
	static char b[1024];
	const int at = AT_FDCWD;

	scratch(argv);
	dir("real");
	dir("real/d");
	file("real/d/f");
	linkto("d/f", "real/link");
	linkto("/d", "real/up");
	dir("here");
	dir("private");
	int host = must(open("real", O_PATH));
	if (unshare(CLONE_NEWNS))
		skip("mount namespace: %s\n", strerror(errno));
	if (mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) || mount("real", "here", NULL, MS_BIND, NULL) ||
	    mount("none", "private", "tmpfs", 0, NULL))
		skip("mount: %s\n", strerror(errno));
	int outside = must(open("/", O_PATH));
	begin();

	traced(syscall(SYS_faccessat, at, "real/d/f", F_OK), 0,
	       "faccessat stat file ~/real/d/f as \"real/d/f\"");
	traced(syscall(SYS_faccessat, at, "here/d/f", F_OK), 0,
	       "faccessat stat file ~/real/d/f as \"here/d/f\"");
	traced(syscall(SYS_faccessat, at, "here/no/f", F_OK), ENOENT,
	       "faccessat stat absent ~/real/no/f as \"here/no/f\"");
	traced(syscall(SYS_faccessat, at, "here/link", F_OK), 0,
	       "faccessat stat file ~/real/link as \"here/link\" "
	       "links=~/real/link>d/f real=~/real/d/f");
	traced(syscall(SYS_faccessat, at, "here/../real", F_OK), 0,
	       "faccessat stat dir ~/real as \"here/../real\"");
	traced(syscall(SYS_faccessat, host, "d/f", F_OK), 0,
	       "faccessat stat file ~/real/d/f as \"d/f\"");
	traced(syscall(SYS_fstatat_, host, "", b, AT_EMPTY_PATH), 0, FSTATAT " stat dir ~/real");

	/* What nobody else sees has a name of its own. */
	traced(syscall(SYS_mkdirat, at, "private/d", 0700), 0,
	       "mkdirat create absent tmpfs:~/private/d as \"private/d\"");

	traced(syscall(SYS_chdir, "here/d"), 0, "chdir chdir dir ~/real/d as \"here/d\"");
	traced(syscall(SYS_faccessat, at, "f", F_OK), 0, "faccessat stat file ~/real/d/f as \"f\"");
	traced(syscall(SYS_faccessat, at, "..", F_OK), 0, "faccessat stat dir ~/real as \"..\"");
	traced(syscall(SYS_faccessat, at, "../..", F_OK), 0, "faccessat stat dir ~ as \"../..\"");
	int f = must(syscall(SYS_openat, at, "f", O_RDONLY));
	expect("openat read file ~/real/d/f as \"f\"");
	traced(syscall(SYS_fstatat_, f, "", b, AT_EMPTY_PATH), 0, FSTATAT " stat file ~/real/d/f");

	/* A chroot in it, and a working directory by a name from outside. */
	traced(syscall(SYS_chroot, ".."), 0, "chroot chdir dir ~/real as \"..\"");
	traced(syscall(SYS_faccessat, at, "f", F_OK), 0, "faccessat stat file ~/real/d/f as \"f\"");
	traced(syscall(SYS_faccessat, at, "/d/f", F_OK), 0, "faccessat stat file ~/real/d/f as \"/d/f\"");
	traced(syscall(SYS_faccessat, at, "../../up/f", F_OK), 0,
	       "faccessat stat file ~/real/d/f as \"../../up/f\" links=~/real/up>/d");
	traced(syscall(SYS_faccessat, at, "/no", F_OK), ENOENT, "faccessat stat absent ~/real/no as \"/no\"");

	traced(syscall(SYS_fchdir, outside), 0, "fchdir chdir dir /");
	traced(syscall(SYS_chroot, "."), 0, "chroot chdir dir / as \".\"");
	return end();
}
