/* Sockets with a name in the file system: bind makes it, connect looks it up. */
#include "selfcheck.h"
#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

static struct sockaddr_un address;

/* Fills the address with n bytes of name; returns how long it is. */
static socklen_t name(const char *bytes, size_t n)
{
	memset(&address, 'x', sizeof address);
	address.sun_family = AF_UNIX;
	memcpy(address.sun_path, bytes, n);
	return offsetof(struct sockaddr_un, sun_path) + n;
}

static int stream(void) { return must(socket(AF_UNIX, SOCK_STREAM, 0)); }

int main(int argc, char **argv)
{
	(void)argc;
	struct sockaddr_in inet = {.sin_family = AF_INET};

	inet.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	scratch(argv);
	linkto("sock", "link");
	int server = stream(), second = stream(), abstract = stream();
	begin();

	socklen_t n = name("sock", 5);
	traced(syscall(SYS_bind, server, &address, n), 0, "bind create absent ~/sock as \"sock\"");
	must(listen(server, 8));
	traced(syscall(SYS_bind, second, &address, n), EADDRINUSE,
	       "bind create other ~/sock as \"sock\"");
	traced(syscall(SYS_connect, stream(), &address, n), 0,
	       "connect stat other ~/sock as \"sock\"");

	/* The NUL may be missing: then the length ends the name. */
	n = name("sock", 4);
	traced(syscall(SYS_connect, stream(), &address, n), 0,
	       "connect stat other ~/sock as \"sock\"");
	n = name("sockXYZ", 7);
	traced(syscall(SYS_connect, stream(), &address, n - 3), 0,
	       "connect stat other ~/sock as \"sock\"");

	n = name("link", 5);
	traced(syscall(SYS_connect, stream(), &address, n), 0,
	       "connect stat other ~/link as \"link\" links=~/link>sock real=~/sock");
	traced(syscall(SYS_bind, second, &address, n), EADDRINUSE,
	       "bind create symlink ~/link as \"link\"");
	n = name("no", 3);
	traced(syscall(SYS_connect, stream(), &address, n), ENOENT,
	       "connect stat absent ~/no as \"no\"");
	/* A name may fill its field to the last byte. */
	char full[sizeof address.sun_path + 1] = "";
	memset(full, 's', sizeof address.sun_path);
	n = name(full, sizeof address.sun_path);
	traced(syscall(SYS_bind, second, &address, n), 0, "bind create absent ~/%s as \"%s\"",
	       full, full);

	/* Abstract names, and names chosen by the kernel. */
	char hidden[32] = "";
	snprintf(hidden + 1, sizeof hidden - 1, "fstrace-selfcheck-%d", getpid());
	n = name(hidden, 1 + strlen(hidden + 1));
	untraced(syscall(SYS_bind, abstract, &address, n), 0);
	must(listen(abstract, 1));
	traced(syscall(SYS_connect, stream(), &address, n), 0,
	       "connect connect unix @%s", hidden + 1);
	untraced(syscall(SYS_bind, stream(), &address, sizeof address.sun_family), 0);
	untraced(syscall(SYS_bind, must(socket(AF_INET, SOCK_STREAM, 0)), &inet, sizeof inet), 0);
	untraced(syscall(SYS_connect, stream(), (void *)8, n), EFAULT);
	return end();
}
