/* A program run by its descriptor, as fexecve(3) does, or by a directory's. */
#include "follow.h"

int main(int argc, char **argv)
{
	char *const none[] = {NULL};

	if (argc > 2) { /* stages 1 and 2: directory descriptor, name of this program */
		int d = atoi(argv[2]);
		resume(1);
		begin();
		traced(syscall(SYS_faccessat, AT_FDCWD, "f", F_OK), 0,
		       "faccessat stat file ~/f as \"f\"");
		if (argc == 3)
			return end();
		char *const arguments[] = {argv[0], argv[1], argv[2], NULL};
		expect("execveat exec file %s as \"%s\"", argv[0], argv[3]);
		if (argc > 4)
			expect("execveat exec file %s", argv[4]);
		step(getpid(), "exec %s", argv[0]);
		flush();
		syscall(SYS_execveat, d, argv[3], arguments, none, 0);
		die("execveat: %s\n", strerror(errno));
	}
	char ld[8192] = "", number[16], *name = strrchr(argv[0], '/') + 1;

	scratch(argv);
	render("processes");
	file("f");
	if (interpreter())
		follow(ld, sizeof ld, interpreter());
	int self = must(open(argv[0], O_PATH | O_CLOEXEC));
	char parent[4096];
	snprintf(parent, sizeof parent, "%.*s", (int)(name - argv[0]), argv[0]);
	snprintf(number, sizeof number, "%d", (int)must(open(parent, O_PATH)));
	begin();

	char *const arguments[] = {argv[0], argv[1], number, name, *ld ? ld : NULL, NULL};
	expect("execveat exec file %s", argv[0]);
	if (*ld)
		expect("execveat exec file %s", ld);
	step(getpid(), "exec %s", argv[0]);
	flush();
	syscall(SYS_execveat, self, "", arguments, none, AT_EMPTY_PATH);
	die("execveat: %s\n", strerror(errno));
}
