// A walk through the calls that name a file, as a small C program makes them.
// Built against each libc and for each ABI: what reaches the kernel differs
// (open or openat, stat or statx, fork or clone), the record must not.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static void fail(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

static void *in_thread(void *path)
{
	struct stat st;
	return stat(path, &st) == 0 ? path : NULL;
}

static void read_and_write(void)
{
	char buf[64];
	int in = open("input.txt", O_RDONLY);
	int out = open("work/new.txt", O_WRONLY | O_CREAT | O_EXCL, 0644);
	ssize_t n;
	if (in < 0 || out < 0)
		fail("open");
	while ((n = read(in, buf, sizeof buf)) > 0)
		if (write(out, buf, n) != n)
			fail("write");
	if (ftruncate(out, 5) || fchmod(out, 0600))
		fail("ftruncate, fchmod");
	close(in);
	close(out);
}

static void names(void)
{
	char target[PATH_MAX];
	struct stat st;
	if (rename("work/new.txt", "work/kept.txt"))
		fail("rename");
	if (symlink("kept.txt", "work/link") || link("work/kept.txt", "work/second"))
		fail("symlink, link");
	if (readlink("work/link", target, sizeof target) != 8)
		fail("readlink");
	if (lstat("work/link", &st) || !S_ISLNK(st.st_mode))
		fail("lstat");
	if (stat("work/link", &st) || st.st_size != 5)
		fail("stat");
	if (access("work/absent", F_OK) == 0 || access("no/such/dir", F_OK) == 0)
		fail("access");
	if (chmod("work/kept.txt", 0640) || truncate("work/kept.txt", 3))
		fail("chmod, truncate");
	if (unlink("work/second") || rmdir("work/empty"))
		fail("unlink, rmdir");
}

static void list(const char *dir)
{
	int n = 0;
	DIR *d = opendir(dir);
	if (!d)
		fail("opendir");
	while (readdir(d))
		n++;
	closedir(d);
	printf("%s: %d names\n", dir, n);
}

static void children(const char *self)
{
	char *argv[] = {(char *)self, "child", NULL};
	int status;
	pid_t pid = fork();
	if (pid == 0) {
		if (chdir("work") || access("kept.txt", R_OK))
			_exit(1);
		_exit(7);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		fail("fork");
	printf("fork: %d\n", WEXITSTATUS(status));

	if ((errno = posix_spawn(&pid, self, NULL, NULL, argv, environ)) || waitpid(pid, &status, 0) != pid)
		fail("posix_spawn");
	printf("spawn: %d\n", WEXITSTATUS(status));
}

int main(int argc, char **argv)
{
	pthread_t thread;
	void *found;

	if (argc > 1 && strcmp(argv[1], "child") == 0)
		return access("input.txt", R_OK) ? 1 : 8;

	if (mkdir("work", 0755) || mkdir("work/empty", 0700))
		fail("mkdir");
	read_and_write();
	names();
	list("work");
	if (pthread_create(&thread, NULL, in_thread, "input.txt") || pthread_join(thread, &found))
		fail("pthread");
	printf("thread: %s\n", (char *)found);
	fflush(stdout);
	children(argv[0]);
	return 42;
}
