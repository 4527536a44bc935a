/* Programs that are not run: what the kernel looked at before it refused. */
#include "selfcheck.h"

static char *const none[] = {NULL};

static void script(const char *name, const char *text)
{
	int fd = must(open(name, O_WRONLY | O_CREAT, 0755));
	must(write(fd, text, strlen(text)));
	close(fd);
}

int main(int argc, char **argv)
{
	(void)argc;
	const int at = AT_FDCWD;
	char *const arguments[] = {"x", NULL};

	scratch(argv);
	file("plain");
	dir("d");
	script("text", "no program\n");
	script("orphan", "#!/fstrace/no/interpreter\n");
	script("empty", "");
	linkto("plain", "link");
	int fd = must(open("text", O_PATH));
	begin();

	traced(syscall(SYS_execve, "no", arguments, none), ENOENT,
	       "execve exec absent ~/no as \"no\"");
	traced(syscall(SYS_execve, "d/no", arguments, none), ENOENT,
	       "execve exec absent ~/d/no as \"d/no\"");
	traced(syscall(SYS_execve, "plain", arguments, none), EACCES,
	       "execve exec file ~/plain as \"plain\"");
	traced(syscall(SYS_execve, "link", arguments, none), EACCES,
	       "execve exec file ~/link as \"link\" links=~/link>plain real=~/plain");
	traced(syscall(SYS_execve, "d", arguments, none), EACCES,
	       "execve exec dir ~/d as \"d\"");
	traced(syscall(SYS_execve, "./text", arguments, none), ENOEXEC,
	       "execve exec file ~/text as \"./text\"");
	traced(syscall(SYS_execve, "empty", arguments, none), ENOEXEC,
	       "execve exec file ~/empty as \"empty\"");

	/* ENOENT, though the script is there: its interpreter is not. */
	traced(syscall(SYS_execve, "orphan", arguments, none), ENOENT,
	       "execve exec file ~/orphan as \"orphan\"");
	expect("execve exec absent /fstrace/no/interpreter");

	traced(syscall(SYS_execveat, at, "no", arguments, none, 0), ENOENT,
	       "execveat exec absent ~/no as \"no\"");
	traced(syscall(SYS_execveat, fd, "", arguments, none, AT_EMPTY_PATH), ENOEXEC,
	       "execveat exec file ~/text");
	traced(syscall(SYS_execveat, at, "link", arguments, none, AT_SYMLINK_NOFOLLOW), ELOOP,
	       "execveat exec symlink ~/link as \"link\"");
	return end();
}
