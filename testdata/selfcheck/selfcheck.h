/*
 * A self-checking program performs system calls and prints the trace that it
 * expects of itself. The harness (cmd/fstrace/internal/e2e/record) runs it as
 * "fstrace -f jsonl -o RECORD -- PROGRAM SCRATCH", renders RECORD in the same
 * form, and compares byte for byte. The program is the oracle: it checks with
 * errno that the kernel did what the line says.
 *
 * A line is an access:
 *
 *     [PID: ][ABI:]SYSCALL OP STATE PATH
 *         [ as "STRING"]          the string given, where it differs from PATH
 *         [ -> TO STATE]          the second path of a rename or a link,
 *         [ as "STRING"]          and the string given for it
 *         [ target="STRING"]      what a new symbolic link holds
 *         [ flags=A|B]            sorted by name
 *         [ links=L1>T1,L2>T2]    symbolic links followed, in order
 *         [ real=REAL]            what a final symbolic link led to
 *
 * or one that is not to a file:
 *
 *     [PID: ][ABI:]SYSCALL connect ADDRESS
 *
 * or a step in the life of a process:
 *
 *     PID: start parent=PID
 *     PID: exec EXE
 *     PID: exit CODE
 *     PID: exit SIGNAL
 *
 * PATH is '?' where the record cannot tell it, which makes it incomplete.
 *
 * Bytes of paths and strings that are not printable ASCII, and space, '"' and
 * '\', stand as \xNN. In the format strings below '~' is the scratch directory.
 *
 * A line that begins with '#' tells the harness how to render the record:
 *
 *     #flags               with flags
 *     #nolinks             without links and real
 *     #pids                with PID, the lines of each process on their own
 *     #processes           that, and with the steps of the processes
 *     #unordered           sorted: threads have no order among them
 *     #count               each distinct line once, behind its number, sorted
 *     #incomplete REASON   the record has to be incomplete for REASON; it has
 *                          to be complete otherwise
 *     #deep                where the record is incomplete for unresolved_path,
 *                          the rest of the output does not matter
 *
 * Only what lies between access("/fstrace-begin") and access("/fstrace-end")
 * counts. After an exec, the new program's start (its dynamic linker) does not
 * count until it has called begin() as well.
 *
 * Exit status 77 means that this kernel or user cannot run the program; why is
 * on standard error. Calls are made with syscall(2) where the C library might
 * choose another one. What a program prepares or checks in silence it does
 * before begin(), or with calls that name no file.
 */
#ifndef SELFCHECK_H
#define SELFCHECK_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "numbers.h"

/* A program need not use every helper. */
#define HELPER __attribute__((unused)) static
#define PRINTF(f, a) __attribute__((format(printf, f, a)))

#ifdef __i386__
#define ABI "i386:"
#else
#define ABI ""
#endif

static const char *home;     /* the scratch directory, as getcwd gives it */
static char home_line[8192]; /* the same, as lines show it */
static int show_pids;
static char out[1 << 19];
static size_t out_len;

/* Standard I/O is not for programs that compare what they call. */
HELPER void flush(void)
{
	size_t done = 0;
	while (done < out_len) {
		ssize_t n = write(1, out + done, out_len - done);
		if (n <= 0)
			_exit(2);
		done += n;
	}
	out_len = 0;
}

PRINTF(1, 2) HELPER void die(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vdprintf(2, format, args);
	va_end(args);
	_exit(1);
}

/* Ends a program that the kernel or the user does not allow to run. */
PRINTF(1, 2) HELPER void skip(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vdprintf(2, format, args);
	va_end(args);
	_exit(77);
}

/* Prepares something; fails the program where it cannot be. */
#define must(call) must_(__FILE__, __LINE__, #call, (long)(call))

HELPER long must_(const char *source, int line, const char *text, long result)
{
	if (result == -1)
		die("%s:%d: %s: %s\n", source, line, text, strerror(errno));
	return result;
}

static void put(const char *s, size_t n)
{
	if (out_len + n > sizeof out)
		die("output longer than %zu bytes\n", sizeof out);
	memcpy(out + out_len, s, n);
	out_len += n;
}

/* Returns, in buffer, the bytes of s as lines show them. */
HELPER char *quote(char *buffer, size_t size, const char *s)
{
	size_t n = 0;
	for (; *s; s++) {
		unsigned char c = *s;
		if (n + 5 > size)
			die("quote: longer than %zu bytes\n", size);
		if (c <= ' ' || c > '~' || c == '"' || c == '\\')
			n += sprintf(buffer + n, "\\x%02x", c);
		else
			buffer[n++] = c;
	}
	buffer[n] = 0;
	return buffer;
}

/* Adds a line, with PID where lines have one, and with '~' expanded. */
static void add_line(int pid, const char *abi, const char *format, va_list args)
{
	static __thread char line[1 << 15];
	char head[32];

	if (show_pids) {
		snprintf(head, sizeof head, "%d: ", pid);
		put(head, strlen(head));
	}
	put(abi, strlen(abi));
	if ((size_t)vsnprintf(line, sizeof line, format, args) >= sizeof line)
		die("line longer than %zu bytes\n", sizeof line);
	for (const char *p = line; *p; p++) {
		if (*p == '~')
			put(home_line, strlen(home_line));
		else
			put(p, 1);
	}
	put("\n", 1);
}

/* Expects an access of this process. */
PRINTF(1, 2) HELPER void expect(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	add_line(getpid(), ABI, format, args);
	va_end(args);
}

/* Expects an access of process pid. */
PRINTF(2, 3) HELPER void expect_of(int pid, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	add_line(pid, ABI, format, args);
	va_end(args);
}

/* Expects a step in the life of process pid. */
PRINTF(2, 3) HELPER void step(int pid, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	add_line(pid, "", format, args);
	va_end(args);
}

/*
 * traced(call, error, line...) makes a call that has to end with that errno, 0
 * for success or ANY, and expects its line. It returns what the call did.
 */
#define ANY (-1)
#define traced(call, error, ...) \
	__extension__({ \
		long result_ = checked(__FILE__, __LINE__, #call, (call), (error)); \
		expect(__VA_ARGS__); \
		result_; \
	})

/* A call that names no file: no line. */
#define untraced(call, error) checked(__FILE__, __LINE__, #call, (call), (error))

HELPER long checked(const char *source, int line, const char *text, long result, int error)
{
	int got = result == -1 ? errno : 0;
	if (error != ANY && got != error)
		die("%s:%d: %s: want %s, got %s\n", source, line, text,
		    strerror(error), strerror(got));
	return result;
}

/* What the program prepares with. */

HELPER void file(const char *name)
{
	int fd = must(open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644));
	must(write(fd, "content\n", 8));
	close(fd);
}

HELPER void dir(const char *name) { must(mkdir(name, 0755)); }
HELPER void linkto(const char *target, const char *name) { must(symlink(target, name)); }

/* Tells the harness how to render the record. */
HELPER void render(const char *directive)
{
	put("#", 1);
	put(directive, strlen(directive));
	put("\n", 1);
	if (!strcmp(directive, "pids") || !strcmp(directive, "processes"))
		show_pids = 1;
}

/* Makes the scratch directory argv[1] and goes there. */
HELPER void scratch(char **argv)
{
	if (!argv[1])
		die("usage: %s SCRATCH\n", argv[0]);
	umask(022);
	must(mkdir(argv[1], 0755));
	must(chdir(argv[1]));
	if (!(home = getcwd(NULL, 0)))
		die("getcwd: %s\n", strerror(errno));
	quote(home_line, sizeof home_line, home);
}

/* Takes up the scratch directory again in a program that was executed there. */
HELPER void resume(int pids)
{
	if (!(home = getcwd(NULL, 0)))
		die("getcwd: %s\n", strerror(errno));
	quote(home_line, sizeof home_line, home);
	show_pids = pids;
}

HELPER void begin(void) { syscall(SYS_faccessat, AT_FDCWD, "/fstrace-begin", F_OK); }

HELPER int end(void)
{
	syscall(SYS_faccessat, AT_FDCWD, "/fstrace-end", F_OK);
	flush();
	return 0;
}

/* fork, for a child that expects lines of its own and flushes them. */
HELPER pid_t split(void)
{
	pid_t pid = must(fork());
	if (pid == 0)
		out_len = 0;
	return pid;
}

#endif
