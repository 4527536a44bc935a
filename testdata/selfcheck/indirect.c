/*
 * Calls that name files in structs, within options, or by a name that is no path. What
 * they ask for need not be allowed: they are to name what they name.
 */
#include "selfcheck.h"
#include <sys/ioctl.h>
#include <sys/mount.h>

#ifdef __i386__
#define SETFLAGS 0x40046602
#else
#define SETFLAGS 0x40086602
#endif
#define FSSETXATTR 0x401c5820

/* <linux/bpf.h>, <linux/perf_event.h>, <linux/quota.h>: musl comes without them. */
enum { OBJ_PIN = 6, OBJ_GET = 7, LINK_CREATE = 28, PATH_FD = 1 << 14, UPROBE_MULTI = 48 };
struct object { uint64_t path; uint32_t fd, flags; int32_t path_fd; };
struct uprobes { uint32_t prog, target, type, flags; uint64_t path, rest[8]; };
struct event { uint32_t type, size; uint64_t config[4], flags; uint32_t wakeup, bp; uint64_t path; };
enum { Q_ON = 0x800002 << 8, Q_GET = 0x800007 << 8 };
enum { SET_FLAG, SET_STRING, SET_BINARY, SET_PATH };

static uint64_t pointer(const void *p) { return (uintptr_t)p; }

/* The number that uprobes have here, or 0. */
static uint32_t uprobe_type(void)
{
	char text[16] = "";
	int fd = open("/sys/bus/event_source/devices/uprobe/type", O_RDONLY);

	if (fd < 0)
		return 0;
	must(read(fd, text, sizeof text - 1));
	close(fd);
	return atoi(text);
}

int main(int argc, char **argv)
{
	(void)argc;
	scratch(argv);
	file("f");
	file("dev");
	dir("lower");
	dir("also,lower");
	dir("upper");
	dir("target");
	linkto("f", "link");
	int here = must(open(".", O_RDONLY | O_DIRECTORY)), fd = must(open("f", O_RDONLY));
	uint32_t uprobe = uprobe_type();
	begin();

	/* Attributes of any file; other requests are not seen. */
	long flags = 0;
	struct { uint32_t xflags, extsize, nextents, projid, cowextsize; char pad[8]; } x = {0};
	traced(syscall(SYS_ioctl, fd, SETFLAGS, &flags), ANY, "ioctl chattr file ~/f");
	traced(syscall(SYS_ioctl, fd, FSSETXATTR, &x), ANY, "ioctl chattr file ~/f");
	untraced(syscall(SYS_ioctl, fd, FIONREAD, &flags), 0);
	untraced(syscall(SYS_ioctl, -1, SETFLAGS, &flags), EBADF);

	struct object o = {.path = pointer("link")};
	traced(syscall(SYS_bpf, OBJ_GET, &o, sizeof o), ANY,
	       "bpf stat file ~/link as \"link\" links=~/link>f real=~/f");
	o.path = pointer("pinned");
	traced(syscall(SYS_bpf, OBJ_PIN, &o, sizeof o), ANY, "bpf create absent ~/pinned as \"pinned\"");
	o.flags = PATH_FD;
	o.path_fd = here;
	traced(syscall(SYS_bpf, OBJ_PIN, &o, sizeof o), ANY, "bpf create absent ~/pinned as \"pinned\"");
	struct uprobes u = {.type = UPROBE_MULTI, .path = pointer("f")};
	traced(syscall(SYS_bpf, LINK_CREATE, &u, sizeof u), ANY, "bpf read file ~/f as \"f\"");
	u.type = 0;
	untraced(syscall(SYS_bpf, LINK_CREATE, &u, sizeof u), ANY);
	untraced(syscall(SYS_bpf, OBJ_GET, NULL, 0), ANY);

	struct event e = {.type = uprobe, .size = sizeof e, .path = pointer("f")};
	if (uprobe)
		traced(syscall(SYS_perf_event_open, &e, 0, -1, -1, 0), ANY,
		       "perf_event_open read file ~/f as \"f\"");
	e.type = 1; /* PERF_TYPE_SOFTWARE */
	untraced(syscall(SYS_perf_event_open, &e, 0, -1, -1, 0), ANY);

	traced(syscall(SYS_quotactl, Q_GET, "dev", 0, &flags), ANY, "quotactl stat file ~/dev as \"dev\"");
	traced(syscall(SYS_quotactl, Q_ON, "dev", 0, "f"), ANY, "quotactl stat file ~/dev as \"dev\"");
	expect("quotactl stat file ~/f as \"f\"");
	traced(syscall(SYS_quotactl_fd, here, Q_GET, 0, &flags), ANY, "quotactl_fd stat dir ~");

	/* A queue's name has no path that is known for certain. */
	char queue[64];
	snprintf(queue, sizeof queue, "fstrace-selfcheck-%d", getpid());
	traced(syscall(SYS_mq_open, queue, O_RDONLY, 0, NULL), ANY,
	       "mq_open read unknown /dev/mqueue/%s as \"%s\"", queue, queue);
	traced(syscall(SYS_mq_open, queue, O_RDWR | O_CREAT, 0600, NULL), ANY,
	       "mq_open write unknown /dev/mqueue/%s as \"%s\"", queue, queue);
	traced(syscall(SYS_mq_unlink, queue), ANY,
	       "mq_unlink delete unknown /dev/mqueue/%s as \"%s\"", queue, queue);
	untraced(syscall(SYS_mq_unlink, "a/b"), ANY);

	/* Mounts that cannot be: one layer is not there. */
	traced(mount("o", "target", "overlay", 0,
		     "lowerdir=lower:also\\,lower:none,upperdir=upper,ro"), ANY,
	       "mount stat dir ~/target as \"target\"");
	expect("mount stat dir ~/lower as \"lower\"");
	expect("mount stat dir ~/also,lower as \"also,lower\"");
	expect("mount stat absent ~/none as \"none\"");
	expect("mount stat dir ~/upper as \"upper\"");
	traced(mount("o", "target", "tmpfs", 0, "mode=nonsense"), ANY, "mount stat dir ~/target as \"target\"");
	traced(syscall(SYS_fsconfig, -1, SET_PATH, "source", "dev", here), ANY,
	       "fsconfig stat file ~/dev as \"dev\"");
	traced(syscall(SYS_fsconfig, -1, SET_STRING, "lowerdir", "lower:upper", 0), ANY,
	       "fsconfig stat dir ~/lower as \"lower\"");
	expect("fsconfig stat dir ~/upper as \"upper\"");
	traced(syscall(SYS_fsconfig, -1, SET_STRING, "source", home, 0), ANY, "fsconfig stat dir ~");
	untraced(syscall(SYS_fsconfig, -1, SET_STRING, "source", "none", 0), ANY);
	untraced(syscall(SYS_fsconfig, -1, SET_STRING, "mode", "/755", 0), ANY);
	untraced(syscall(SYS_fsconfig, -1, SET_FLAG, "ro", NULL, 0), ANY);
	return end();
}
