// Executes the file operations that its arguments name, and prints the outcome of
// each: what a program can learn from the kernel, and nothing else. An argument is
// the operation's name and its operands, separated by commas.
//
// What differs from run to run is not printed: inode numbers, and times after 2025,
// which no test sets.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE 1
#define RENAME_EXCHANGE 2
#endif

enum { operands = 4, fixed_time = 1262304000, new_time = 1735689600 };

static int failed; // whether the last operation failed

// word appends a word to the line of the operation.
static void word(const char *s) { printf(" %s", s); }

static void quoted(const char *s, size_t n)
{
	fputs(" \"", stdout);
	for (size_t i = 0; i < n; i++)
		if (s[i] < ' ' || s[i] == '"' || s[i] > '~')
			printf("\\%02x", (unsigned char)s[i]);
		else
			putchar(s[i]);
	putchar('"');
}

// result prints how a call ended and reports whether it succeeded.
static int result(long r)
{
	failed = r < 0;
	word(failed ? strerrorname_np(errno) : "ok");
	return !failed;
}

static void contents(int fd)
{
	char buf[4096];
	ssize_t n = read(fd, buf, sizeof buf);
	if (result(n))
		quoted(buf, n);
}

static void put(int fd, const char *text)
{
	result(pwrite(fd, text, strlen(text), 0));
}

static void type(mode_t mode)
{
	word(S_ISREG(mode) ? "file" : S_ISDIR(mode) ? "dir" : S_ISLNK(mode) ? "link" : "other");
}

// facets prints what is asked for of a file: existence and type, size, mode, time,
// owner, number of links.
static void facets(const struct stat *st, const char *which)
{
	for (; *which; which++)
		switch (*which) {
		case 'e':
			type(st->st_mode);
			break;
		case 's':
			if (!S_ISDIR(st->st_mode)) // of a directory it is the file system's own affair
				printf(" size=%lld", (long long)st->st_size);
			break;
		case 'm':
			printf(" mode=%o", st->st_mode & 07777);
			break;
		case 't':
			if (st->st_mtime >= new_time)
				word("new");
			else
				printf(" mtime=%lld.%09ld", (long long)st->st_mtime, st->st_mtim.tv_nsec);
			break;
		case 'o':
			printf(" owner=%d:%d", st->st_uid, st->st_gid);
			break;
		case 'n':
			if (!S_ISDIR(st->st_mode))
				printf(" nlink=%d", (int)st->st_nlink);
			break;
		}
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void list(const char *path, int types)
{
	char *names[256];
	int n = 0;
	DIR *d = opendir(path);
	if (!result(d ? 0 : -1))
		return;
	for (struct dirent *e; n < 256 && (e = readdir(d));)
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
			asprintf(&names[n++], "%s%s", e->d_name, !types ? "" : e->d_type == DT_DIR ? "/" : e->d_type == DT_LNK ? "@" : "");
	closedir(d);
	qsort(names, n, sizeof *names, by_name);
	for (int i = 0; i < n; i++) {
		word(names[i]);
		free(names[i]);
	}
}

static void copy(const char *from, const char *to)
{
	char buf[4096];
	int in = open(from, O_RDONLY);
	if (!result(in))
		return;
	ssize_t n = read(in, buf, sizeof buf);
	close(in);
	if (!result(n))
		return;
	int out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0666);
	if (!result(out))
		return;
	result(write(out, buf, n));
	close(out);
}

// same reports whether two paths name one file.
static void same(const char *a, const char *b)
{
	struct stat x, y;
	if (result(stat(a, &x)) && result(stat(b, &y)))
		word(x.st_dev == y.st_dev && x.st_ino == y.st_ino ? "same" : "different");
}

static const struct opening {
	const char *name;
	int flags;
} openings[] = {
	{"read", O_RDONLY},
	{"readnf", O_RDONLY | O_NOFOLLOW},
	{"append", O_WRONLY | O_APPEND},
	{"appendc", O_WRONLY | O_APPEND | O_CREAT},
	{"write", O_WRONLY},
	{"writec", O_WRONLY | O_CREAT},
	{"trunc", O_WRONLY | O_TRUNC},
	{"truncc", O_WRONLY | O_TRUNC | O_CREAT},
	{"excl", O_WRONLY | O_EXCL | O_CREAT},
	{"rdwr", O_RDWR},
	{"rdwrc", O_RDWR | O_CREAT},
	{"path", O_PATH},
	{"dir", O_RDONLY | O_DIRECTORY},
};

// opening opens a file and does what such a descriptor is for. It reports whether
// name is an operation of this kind.
static int opening(const char *name, char **arg)
{
	for (size_t i = 0; i < sizeof openings / sizeof *openings; i++) {
		const struct opening *o = &openings[i];
		if (strcmp(name, o->name))
			continue;
		int fd = open(arg[0], o->flags, 0666);
		if (!result(fd))
			return 1;
		struct stat st;
		if (o->flags & O_PATH) {
			if (result(fstat(fd, &st)))
				facets(&st, arg[1]);
		} else if ((o->flags & O_ACCMODE) == O_RDONLY) {
			if (!(o->flags & O_DIRECTORY))
				contents(fd);
		} else {
			if ((o->flags & O_ACCMODE) == O_RDWR)
				contents(fd);
			if (*arg[1])
				put(fd, arg[1]);
		}
		close(fd);
		return 1;
	}
	return 0;
}

// meet tells the test that the program has come here, and waits until the test has
// done what it does meanwhile. It prints nothing.
static void meet(const char *here, const char *go)
{
	char c = 0;
	int fd = open(here, O_WRONLY);
	if (fd < 0 || write(fd, &c, 1) != 1)
		exit(125);
	close(fd);
	if ((fd = open(go, O_RDONLY)) < 0 || read(fd, &c, 1) != 1)
		exit(125);
	close(fd);
}

static void run(char *path)
{
	int status;
	fflush(stdout);
	pid_t pid = fork();
	if (!pid) {
		char *argv[] = {path, NULL}, *env[] = {"PATH=/usr/bin:/bin", NULL};
		execve(path, argv, env);
		word(strerrorname_np(errno));
		fflush(stdout);
		_exit(127);
	}
	if (result(waitpid(pid, &status, 0))) {
		printf(" status=%x", status);
		failed = status != 0;
	}
}

static void operation(const char *name, char **arg)
{
	struct stat st;
	char buf[4096];
	const struct timespec times[2] = {{fixed_time, 0}, {fixed_time, 0}};
	int mode = strtol(arg[1], NULL, 8), number = atoi(arg[1]);
	ssize_t n;
#define IS(s) (!strcmp(name, s))
	if (opening(name, arg)) {
	} else if (IS("stat")) {
		if (result(stat(arg[0], &st)))
			facets(&st, arg[1]);
	} else if (IS("lstat")) {
		if (result(lstat(arg[0], &st)))
			facets(&st, arg[1]);
	} else if (IS("same")) {
		same(arg[0], arg[1]);
	} else if (IS("access")) {
		result(access(arg[0], mode));
	} else if (IS("readlink")) {
		if (result(n = readlink(arg[0], buf, sizeof buf)))
			quoted(buf, n);
	} else if (IS("list")) {
		list(arg[0], 0);
	} else if (IS("listtypes")) {
		list(arg[0], 1);
	} else if (IS("chdir")) {
		result(chdir(arg[0]));
	} else if (IS("mkdir")) {
		result(mkdir(arg[0], mode));
	} else if (IS("rmdir")) {
		result(rmdir(arg[0]));
	} else if (IS("unlink")) {
		result(unlink(arg[0]));
	} else if (IS("rename")) {
		result(rename(arg[0], arg[1]));
	} else if (IS("renamenew")) {
		result(syscall(SYS_renameat2, AT_FDCWD, arg[0], AT_FDCWD, arg[1], RENAME_NOREPLACE));
	} else if (IS("swap")) {
		result(syscall(SYS_renameat2, AT_FDCWD, arg[0], AT_FDCWD, arg[1], RENAME_EXCHANGE));
	} else if (IS("link")) {
		result(link(arg[0], arg[1]));
	} else if (IS("linkfollow")) {
		result(linkat(AT_FDCWD, arg[0], AT_FDCWD, arg[1], AT_SYMLINK_FOLLOW));
	} else if (IS("symlink")) {
		result(symlink(arg[0], arg[1]));
	} else if (IS("chmod")) {
		result(chmod(arg[0], mode));
	} else if (IS("chown")) {
		result(chown(arg[0], number, -1));
	} else if (IS("utimes")) {
		result(utimensat(AT_FDCWD, arg[0], times, 0));
	} else if (IS("truncate")) {
		result(truncate(arg[0], number));
	} else if (IS("copy")) {
		copy(arg[0], arg[1]);
	} else if (IS("setxattr")) {
		result(setxattr(arg[0], "user.k", arg[1], strlen(arg[1]), 0));
	} else if (IS("getxattr")) {
		if (result(n = getxattr(arg[0], "user.k", buf, sizeof buf)))
			quoted(buf, n);
	} else if (IS("run")) {
		run(arg[0]);
	} else {
		fprintf(stderr, "ops: unknown operation %s\n", name);
		exit(125);
	}
}

// operations executes those from argv[i] up to, and not including, argv[end].
// "meet,HERE,GO" lets the test do something meanwhile. "if,N" executes the next N only
// if the one before succeeded, "else,N" only if it failed; "fork,N" executes them in a
// child and waits.
static void operations(char **argv, int i, int end)
{
	for (; i < end; i++) {
		char *arg[operands + 1] = {"", "", "", "", ""}, line[4096], *rest = line;
		snprintf(line, sizeof line, "%s", argv[i]);
		for (int k = 0; k <= operands && rest; k++)
			arg[k] = strsep(&rest, ",");
		int n = atoi(arg[1]);
		if (n > end - i - 1)
			n = end - i - 1;
		if (!strcmp(arg[0], "if")) {
			i += failed ? n : 0;
		} else if (!strcmp(arg[0], "else")) {
			i += failed ? 0 : n;
		} else if (!strcmp(arg[0], "meet")) {
			fflush(stdout);
			meet(arg[1], arg[2]);
		} else if (!strcmp(arg[0], "exit")) {
			fflush(stdout);
			exit(atoi(arg[1]));
		} else if (!strcmp(arg[0], "fork")) {
			fflush(stdout);
			int status = 0;
			pid_t pid = fork();
			if (!pid) {
				operations(argv, i + 1, i + 1 + n);
				fflush(stdout);
				_exit(0);
			}
			waitpid(pid, &status, 0);
			i += n;
			failed = status != 0;
		} else {
			fputs(arg[0], stdout);
			operation(arg[0], arg + 1);
			putchar('\n');
		}
	}
}

int main(int argc, char **argv)
{
	umask(022);
	operations(argv, 1, argc);
	return 0;
}
