/* i386 has one call for all of sockets: its arguments are in memory. */
#include "selfcheck.h"
#include <sys/socket.h>
#include <sys/un.h>

enum { BIND = 2, CONNECT = 3, LISTEN = 4, SENDTO = 11, SENDMSG = 16, SENDMMSG = 20 };

int main(int argc, char **argv)
{
	(void)argc;
	scratch(argv);
#ifdef SYS_socketcall
	struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "sock"};
	struct sockaddr_un abstract = {.sun_family = AF_UNIX};
	int server = must(socket(AF_UNIX, SOCK_STREAM, 0));
	int client = must(socket(AF_UNIX, SOCK_STREAM, 0));
	int other = must(socket(AF_UNIX, SOCK_STREAM, 0));
	begin();

	long binds[] = {server, (long)&a, sizeof a};
	traced(syscall(SYS_socketcall, BIND, binds), 0,
	       "socketcall create absent ~/sock as \"sock\"");
	long listens[] = {server, 1};
	untraced(syscall(SYS_socketcall, LISTEN, listens), 0);
	long connects[] = {client, (long)&a, sizeof a};
	traced(syscall(SYS_socketcall, CONNECT, connects), 0,
	       "socketcall stat other ~/sock as \"sock\"");
	int datagram = must(socket(AF_UNIX, SOCK_DGRAM, 0));
	long sends[] = {datagram, (long)"x", 1, 0, (long)&a, sizeof a};
	traced(syscall(SYS_socketcall, SENDTO, sends), EPROTOTYPE,
	       "socketcall stat other ~/sock as \"sock\"");
	struct iovec content = {"x", 1};
	struct mmsghdr messages[2] = {{.msg_hdr = {&a, sizeof a, &content, 1, NULL, 0, 0}},
				      {.msg_hdr = {NULL, 0, &content, 1, NULL, 0, 0}}};
	long sendmsgs[] = {datagram, (long)messages, 0};
	traced(syscall(SYS_socketcall, SENDMSG, sendmsgs), EPROTOTYPE,
	       "socketcall stat other ~/sock as \"sock\"");
	long sendmmsgs[] = {datagram, (long)messages, 2, 0};
	traced(syscall(SYS_socketcall, SENDMMSG, sendmmsgs), EPROTOTYPE,
	       "socketcall stat other ~/sock as \"sock\"");
	long nothing[] = {datagram, (long)&messages[1], 0};
	untraced(syscall(SYS_socketcall, SENDMSG, nothing), ENOTCONN);

	long nameless[] = {other, (long)&abstract, sizeof abstract.sun_family};
	untraced(syscall(SYS_socketcall, BIND, nameless), 0);
	untraced(syscall(SYS_socketcall, CONNECT, 8L), EFAULT);
	return end();
#else
	skip("socketcall is i386's\n");
#endif
}
