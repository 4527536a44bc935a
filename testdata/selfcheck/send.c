/* Messages that say where they go to, and addresses that are no files. */
#include "selfcheck.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

/* <linux/vm_sockets.h> and <linux/netlink.h>, which musl comes without. */
struct vm_address { uint16_t family, reserved; uint32_t port, cid, zero; };
struct netlink_address { uint16_t family, pad; uint32_t pid, groups; };

static int udp(int family) { return must(socket(family, SOCK_DGRAM, 0)); }

static struct sockaddr_un path(const char *name)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	strcpy(a.sun_path, name);
	return a;
}

int main(int argc, char **argv)
{
	(void)argc;
	scratch(argv);
	linkto("sock", "link");
	struct sockaddr_un sock = path("sock"), link = path("link"), no = path("no");
	struct sockaddr_un hidden = {.sun_family = AF_UNIX};
	snprintf(hidden.sun_path + 1, 50, "fstrace-send-%d", getpid());
	socklen_t hidden_len = offsetof(struct sockaddr_un, sun_path) + 1 + strlen(hidden.sun_path + 1);
	struct sockaddr_in inet = {.sin_family = AF_INET, .sin_port = htons(9)};
	struct sockaddr_in6 inet6 = {.sin6_family = AF_INET6, .sin6_port = htons(9)};
	struct sockaddr_in6 scoped = {.sin6_family = AF_INET6, .sin6_port = htons(9), .sin6_scope_id = 1};
	struct vm_address vm = {.family = AF_VSOCK, .port = 1024, .cid = 77};
	struct netlink_address kernel = {.family = AF_NETLINK};
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	inet.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	inet6.sin6_addr = in6addr_loopback;
	inet_pton(AF_INET6, "fe80::1", &scoped.sin6_addr);
	struct iovec content = {"x", 1};
	int server = udp(AF_UNIX), other = udp(AF_UNIX), from = udp(AF_UNIX);
	int pair[2];
	must(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
	must(bind(server, (void *)&sock, sizeof sock));
	must(bind(other, (void *)&hidden, hidden_len));
	begin();

	/* sendto: without an address it is send(2), and nothing is named. */
	traced(syscall(SYS_sendto, from, "x", 1, 0, &sock, sizeof sock), 0,
	       "sendto stat other ~/sock as \"sock\"");
	traced(syscall(SYS_sendto, from, "x", 1, 0, &link, sizeof link), 0,
	       "sendto stat other ~/link as \"link\" links=~/link>sock real=~/sock");
	traced(syscall(SYS_sendto, from, "x", 1, 0, &no, sizeof no), ENOENT,
	       "sendto stat absent ~/no as \"no\"");
	traced(syscall(SYS_sendto, from, "x", 1, 0, &hidden, hidden_len), 0,
	       "sendto connect unix @%s", hidden.sun_path + 1);
	untraced(syscall(SYS_sendto, from, "x", 1, 0, NULL, 0), ENOTCONN);
	untraced(syscall(SYS_sendto, pair[0], "x", 1, 0, NULL, 0), 0);
	untraced(syscall(SYS_sendto, from, "x", 1, 0, 8L, sizeof sock), EFAULT);

	/* sendmsg */
	struct msghdr to_sock = {&sock, sizeof sock, &content, 1, NULL, 0, 0};
	struct msghdr to_inet = {&inet, sizeof inet, &content, 1, NULL, 0, 0};
	struct msghdr to_peer = {NULL, 0, &content, 1, NULL, 0, 0};
	traced(syscall(SYS_sendmsg, from, &to_sock, 0), 0, "sendmsg stat other ~/sock as \"sock\"");
	traced(syscall(SYS_sendmsg, udp(AF_INET), &to_inet, 0), ANY, "sendmsg connect inet 127.0.0.1:9");
	untraced(syscall(SYS_sendmsg, pair[0], &to_peer, 0), 0);
	untraced(syscall(SYS_sendmsg, from, 8L, 0), EFAULT);

	/* sendmmsg: what goes to the address before is not told again. */
	struct mmsghdr four[4] = {{.msg_hdr = to_sock}, {.msg_hdr = to_sock}};
	four[2].msg_hdr = (struct msghdr){&hidden, hidden_len, &content, 1, NULL, 0, 0};
	four[3].msg_hdr = (struct msghdr){&link, sizeof link, &content, 1, NULL, 0, 0};
	traced(syscall(SYS_sendmmsg, from, four, 4, 0), 0, "sendmmsg stat other ~/sock as \"sock\"");
	expect("sendmmsg connect unix @%s", hidden.sun_path + 1);
	expect("sendmmsg stat other ~/link as \"link\" links=~/link>sock real=~/sock");
	struct mmsghdr nowhere = {.msg_hdr = to_peer};
	untraced(syscall(SYS_sendmmsg, pair[0], &nowhere, 1, 0), 0);

	/* Other families: what they name is no file, but it is outside. */
	traced(syscall(SYS_sendto, udp(AF_INET), "x", 1, 0, &inet, sizeof inet), ANY,
	       "sendto connect inet 127.0.0.1:9");
	int tcp = must(socket(AF_INET, SOCK_STREAM, 0));
	traced(syscall(SYS_connect, tcp, &inet, sizeof inet), ANY, "connect connect inet 127.0.0.1:9");
	untraced(syscall(SYS_connect, tcp, &none, sizeof none), ANY);
	untraced(syscall(SYS_connect, tcp, &inet, 8), EINVAL);
	traced(syscall(SYS_connect, tcp, &inet6, sizeof inet6), ANY, "connect connect inet6 [::1]:9");
	traced(syscall(SYS_connect, tcp, &scoped, sizeof scoped), ANY,
	       "connect connect inet6 [fe80::1%%1]:9");
	traced(syscall(SYS_connect, tcp, &vm, sizeof vm), ANY, "connect connect vsock 77:1024");
	untraced(syscall(SYS_connect, must(socket(AF_NETLINK, SOCK_RAW, 0)), &kernel, sizeof kernel), 0);
	return end();
}
