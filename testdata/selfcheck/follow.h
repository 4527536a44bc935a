/*
 * What an exec opens besides the program: its ELF interpreter, by a path that
 * is not of the program's making. So the program walks it itself.
 */
#ifndef FOLLOW_H
#define FOLLOW_H

#include "selfcheck.h"
#include <elf.h>
#include <link.h>
#include <sys/auxv.h>

/* The ELF interpreter of this program, or NULL if it is static. */
HELPER const char *interpreter(void)
{
	const ElfW(Phdr) *headers = (void *)getauxval(AT_PHDR);
	size_t n = getauxval(AT_PHNUM);
	uintptr_t base = 0;

	for (size_t i = 0; i < n; i++)
		if (headers[i].p_type == PT_PHDR)
			base = (uintptr_t)headers - headers[i].p_vaddr;
	for (size_t i = 0; i < n; i++)
		if (headers[i].p_type == PT_INTERP)
			return (void *)(base + headers[i].p_vaddr);
	return NULL;
}

/* Appends to a string in a buffer of size bytes. */
PRINTF(3, 4) HELPER void append(char *line, size_t size, const char *format, ...)
{
	size_t used = strlen(line);
	va_list args;

	va_start(args, format);
	if ((size_t)vsnprintf(line + used, size - used, format, args) >= size - used)
		die("append: longer than %zu bytes\n", size);
	va_end(args);
}

/*
 * Writes what a line says of the existing file at the absolute path: PATH, and
 * where they apply as, links and real. For use before begin().
 */
HELPER char *follow(char *line, size_t size, const char *path)
{
	static char at[8192], rest[8192], final[8192], links[8192], target[4096];

	*at = *rest = *final = *links = 0;
	append(rest, sizeof rest, "%s", path);
	for (int hops = 0; *rest;) {
		char *name = rest + strspn(rest, "/");
		size_t n = strcspn(name, "/"), stem = strlen(at);
		int last = name[n + strspn(name + n, "/")] == 0;

		if (n == 2 && !strncmp(name, "..", 2))
			*(strrchr(at, '/') ? strrchr(at, '/') : at) = 0;
		else if (n && !(n == 1 && *name == '.'))
			append(at, sizeof at, "/%.*s", (int)n, name);
		if (last && !*final)
			append(final, sizeof final, "%s", at);
		memmove(rest, name + n, strlen(name + n) + 1);

		ssize_t got = readlink(at, target, sizeof target - 1);
		if (got < 0)
			continue;
		if (++hops > 40 || got + strlen(rest) >= sizeof rest)
			die("follow %s: too many links, or too long\n", path);
		target[got] = 0;
		append(links, sizeof links, "%s%s>%s", *links ? "," : " links=", at, target);
		memmove(rest + got, rest, strlen(rest) + 1);
		memcpy(rest, target, got);
		at[*target == '/' ? 0 : stem] = 0;
	}
	*line = 0;
	append(line, size, "%s", final);
	if (strcmp(final, path))
		append(line, size, " as \"%s\"", path);
	append(line, size, "%s", links);
	if (strcmp(final, at))
		append(line, size, " real=%s", at);
	return line;
}

/* Expects the kernel's opening of this program's ELF interpreter, if it has one. */
HELPER void expect_interpreter(int pid, const char *followed)
{
	if (*followed)
		expect_of(pid, "execve exec file %s", followed);
}

#endif
