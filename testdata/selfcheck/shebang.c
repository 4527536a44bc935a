/* A script whose interpreter is a script: the kernel opens all, in one call. */
#include "follow.h"

static void script(const char *name, const char *interpreter, const char *argument)
{
	int fd = must(open(name, O_WRONLY | O_CREAT, 0755));
	dprintf(fd, "#! %s  %s \necho not read\n", interpreter, argument);
	close(fd);
}

int main(int argc, char **argv)
{
	if (argc > 2) { /* program, two, outer interpreter, one, script */
		resume(1);
		if (argc != 5 || strcmp(argv[1], "two") || strcmp(argv[3], "one") ||
		    strcmp(argv[4], "./outer"))
			die("arguments: %s %s %s %s\n", argv[1], argv[2], argv[3], argv[4]);
		begin();
		traced(syscall(SYS_faccessat, AT_FDCWD, "f", F_OK), 0,
		       "faccessat stat file ~/f as \"f\"");
		return end();
	}
	char ld[8192] = "", inner[4096];
	char *const arguments[] = {"anything", NULL}, *const environment[] = {NULL};

	scratch(argv);
	render("processes");
	file("f");
	dir("d");
	snprintf(inner, sizeof inner, "%s/link", home);
	if (strlen(inner) + strlen(argv[0]) > 200)
		skip("a #! line has 255 bytes\n");
	script("outer", inner, "one");
	script("d/inner", argv[0], "two");
	linkto("d/inner", "link");
	if (interpreter())
		follow(ld, sizeof ld, interpreter());
	begin();

	expect("execve exec file ~/outer as \"./outer\"");
	expect("execve exec file ~/link links=~/link>d/inner real=~/d/inner");
	expect("execve exec file %s", argv[0]);
	expect_interpreter(getpid(), ld);
	step(getpid(), "exec %s", argv[0]);
	flush();
	syscall(SYS_execve, "./outer", arguments, environment);
	die("execve: %s\n", strerror(errno));
}
