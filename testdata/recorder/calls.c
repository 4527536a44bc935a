/*
 * A program that makes calls which can be recorded, in threads, in forked children, beside changes
 * of the working directory, under signals, and compares each result with what it must be. At the
 * end it prints how often each path of its own was named, one a line: the record must say the same.
 *
 *	calls SEED HZ RESTART    in an empty directory; a timer of HZ signals a second, 0 for none, whose
 *	                         handler makes calls too; RESTART is 1 for SA_RESTART
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

enum { THREADS = 3, ROUNDS = 400, NAMES = 8 };

/* Each worker has a directory of its own, wN, with a file, a link to it, and a directory. */
enum { WORKERS = 32 };
static char root[256];
static struct shared {
	atomic_int failed;
	atomic_long named[WORKERS][NAMES];
	atomic_long handled, lost;
	atomic_int workers;
} *shared;

static const char *const names[NAMES] = { "file", "link", "dir", "missing", "dir/below", "file/below", "made", "./file" };

static void fail(const char *what, long got, long want)
{
	fprintf(stderr, "%s: %ld, want %ld (errno %d)\n", what, got, want, errno);
	shared->failed = 1;
}

static void expect(const char *what, long got, int error, long want, int want_error)
{
	if (got != want || (got < 0 && error != want_error))
		fail(what, got < 0 ? -error : got, want < 0 ? -want_error : want);
}

static unsigned next(unsigned *random) { return *random = *random * 1664525 + 1013904223; }

/* One call about the name n of the worker's directory, which is at prefix. */
static void call(int worker, unsigned *random, const char *prefix, int n)
{
	static const int is_error[NAMES] = { 0, 0, 0, ENOENT, ENOENT, ENOTDIR, ENOENT, 0 };
	char path[512], target[64];
	struct stat st;
	struct statx stx;
	int error = is_error[n], want = error ? -1 : 0;
	long r;

	snprintf(path, sizeof path, "%s%s", prefix, names[n]);
	shared->named[worker][n]++;
	errno = 0;
	switch (next(random) >> 16 & 7) {
	case 0:
		memset(&st, 0, sizeof st);
		r = stat(path, &st);
		expect(path, r, errno, want, error);
		if (r == 0 && (st.st_size != 7) != (n == 2))
			fail(path, st.st_size, 7);
		break;
	case 1:
		memset(&st, 0, sizeof st);
		r = lstat(path, &st);
		expect(path, r, errno, want, error);
		if (r == 0 && n == 1 && !S_ISLNK(st.st_mode))
			fail("mode", st.st_mode, S_IFLNK);
		break;
	case 2:
		r = access(path, R_OK);
		expect(path, r, errno, want, error);
		break;
	case 3:
		r = readlink(path, target, sizeof target);
		if (n == 1)
			expect(path, r, errno, 4, 0);
		else
			expect(path, r, errno, -1, error ? error : EINVAL);
		break;
	case 4:
		r = statx(AT_FDCWD, path, 0, STATX_BASIC_STATS, &stx);
		expect(path, r, errno, want, error);
		if (r == 0 && (stx.stx_size != 7) != (n == 2))
			fail(path, stx.stx_size, 7);
		break;
	case 5:
		r = fstatat(AT_FDCWD, path, &st, AT_SYMLINK_NOFOLLOW);
		expect(path, r, errno, want, error);
		break;
	case 6: /* nothing may be written: the call is made again, and notified */
		r = readlink(path, path, sizeof path);
		if (n == 1)
			expect("readlink of itself", r, errno, 4, 0);
		else
			expect("readlink of itself", r, errno, -1, error ? error : EINVAL);
		break;
	default:
		r = faccessat(AT_FDCWD, path, F_OK, 0);
		expect(path, r, errno, want, error);
	}
}

static int is_vdso(void *pc)
{
	unsigned long base = getauxval(AT_SYSINFO_EHDR);
	return base && (unsigned long)pc - base < 0x2000;
}

static void on_signal(int sig, siginfo_t *info, void *context)
{
	int saved = errno;
	struct stat st;
	Dl_info in;
	(void)sig, (void)info;
	/* What was interrupted is code of a file, whatever records the calls: it can be unwound. */
	void *pc = (void *)((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
	if (!dladdr(pc, &in) && !is_vdso(pc))
		shared->lost++;
	if (stat("/etc/passwd", &st))
		fail("stat in the handler", -1, 0);
	shared->handled++;
	errno = saved;
}

static void prepare(int worker, char *dir, size_t size)
{
	char path[512];
	snprintf(dir, size, "%s/w%d/", root, worker);
	if (mkdir(dir, 0755))
		fail("mkdir", -1, 0);
	snprintf(path, sizeof path, "%sfile", dir);
	int fd = open(path, O_WRONLY | O_CREAT, 0644);
	if (fd < 0 || write(fd, "content", 7) != 7 || close(fd))
		fail("write", -1, 0);
	snprintf(path, sizeof path, "%slink", dir);
	if (symlink("file", path))
		fail("symlink", -1, 0);
	snprintf(path, sizeof path, "%sdir", dir);
	if (mkdir(path, 0755))
		fail("mkdir", -1, 0);
}

/* What a thread does, which does not own the working directory: absolute paths. */
static void *work(void *arg)
{
	int worker = (int)(intptr_t)arg;
	unsigned random = worker * 7919 + 1;
	char dir[300], made[400];
	prepare(worker, dir, sizeof dir);
	snprintf(made, sizeof made, "%smade", dir);
	for (int i = 0; i < ROUNDS; i++) {
		call(worker, &random, dir, next(&random) >> 20 & 7);
		if (i % 50 == 7) { /* there while it must be, and gone after */
			struct stat st;
			if (close(open(made, O_WRONLY | O_CREAT, 0644)) || stat(made, &st) || unlink(made) || stat(made, &st) == 0)
				fail("made", -1, 0);
			shared->named[worker][6] += 4;
		}
	}
	return NULL;
}

static void arm(int hz)
{
	struct itimerval t = { .it_interval = { .tv_usec = hz ? 1000000 / hz : 0 }, .it_value = { .tv_usec = hz ? 1000000 / hz : 0 } };
	setitimer(ITIMER_REAL, &t, NULL);
}

/* What a process does: its directory becomes the working directory, now and then. */
static void live(int worker, int hz, int depth)
{
	unsigned random = worker * 104729 + depth;
	char dir[300];
	prepare(worker, dir, sizeof dir);
	arm(hz);
	for (int i = 0; i < ROUNDS; i++) {
		int n = next(&random) >> 20 & 7;
		if (i % 40 == 0 && chdir(i % 80 ? "/" : dir))
			fail("chdir", -1, 0);
		call(worker, &random, i % 80 < 40 && i & 1 ? "" : dir, n);
		if (depth < 2 && i % 200 == 100) {
			int child_worker = shared->workers++;
			pid_t pid = fork();
			if (pid == 0) {
				live(child_worker, hz, depth + 1);
				_exit(0);
			}
			while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
				;
		}
		if (i % 150 == 50) {
			pid_t pid = vfork();
			if (pid == 0) {
				execl("/bin/true", "true", (char *)0);
				_exit(1);
			}
			int status;
			while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
				;
			if (status)
				fail("true", status, 0);
		}
	}
	arm(0);
}

int main(int argc, char **argv)
{
	if (argc != 4 || !getcwd(root, sizeof root))
		return 2;
	int hz = atoi(argv[2]);
	shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct sigaction sa = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | (atoi(argv[3]) ? SA_RESTART : 0) };
	sigaction(SIGALRM, &sa, NULL);
	shared->workers = 1;
	live(0, hz, 0);
	pthread_t threads[THREADS];
	arm(hz);
	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, work, (void *)(intptr_t)(shared->workers++)))
			fail("pthread_create", -1, 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	arm(0);
	for (int w = 0; w < shared->workers; w++)
		for (int n = 0; n < NAMES; n++)
			if (n != 7)
				printf("%s/w%d/%s %ld\n", root, w, names[n], shared->named[w][n] + (n ? 0 : shared->named[w][7]));
	printf("/etc/passwd %ld\n", shared->handled);
	if (shared->lost > shared->handled / 100 + 1)
		fail("signals that came where there is no file", shared->lost, shared->handled / 100);
	return shared->failed;
}
