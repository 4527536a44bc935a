package syscalls

import (
	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/seccomp"
	"github.com/fstrace/fstrace/tracer/internal/shim"
	"golang.org/x/sys/unix"
)

// Table has one row for each system call, grouped by what the calls do.
var Table = []Row{
	// Opening.
	{Name: "open", How: ByOpen, First: path(0), Flags: 1, FlagType: FlagsOpen},
	{Name: "openat", How: ByOpen, First: at(0, 1), Flags: 2, FlagType: FlagsOpen},
	{Name: "openat2", How: ByOpenHow, First: at(0, 1), Flags: 2, FlagType: FlagsOpen},
	{Name: "creat", How: ByOpen, First: path(0), Flags: None, FlagType: FlagsOpen},
	{Name: "open_by_handle_at", How: ByHandle, First: fd(0), Flags: 2, FlagType: FlagsOpen, does: MaySleep},
	{Name: "acct", Op: events.OpWrite, First: path(0), Flags: None},
	{Name: "uselib", Op: events.OpExec, First: path(0), Flags: None},
	{Name: "swapon", Op: events.OpWrite, First: path(0), Flags: None},
	{Name: "swapoff", Op: events.OpStat, First: path(0), Flags: None},

	// Existence and metadata.
	{Name: "stat", Op: events.OpStat, First: path(0), Flags: None},
	{Name: "lstat", Op: events.OpStat, First: path(0), Flags: None, follow: followNever},
	{Name: "oldstat", Op: events.OpStat, First: path(0), Flags: None},
	{Name: "oldlstat", Op: events.OpStat, First: path(0), Flags: None, follow: followNever},
	{Name: "stat64", Op: events.OpStat, First: path(0), Flags: None},
	{Name: "lstat64", Op: events.OpStat, First: path(0), Flags: None, follow: followNever},
	{Name: "newfstatat", Op: events.OpStat, First: at(0, 1), Flags: 3, FlagType: flagsAt, follow: followUnlessFlag, empty: nullWithFlag},
	{Name: "fstatat64", Op: events.OpStat, First: at(0, 1), Flags: 3, FlagType: flagsAt, follow: followUnlessFlag, empty: nullWithFlag},
	{Name: "statx", Op: events.OpStat, First: at(0, 1), Flags: 2, FlagType: flagsAt, follow: followUnlessFlag, empty: nullWithFlag},
	{Name: "statfs", Op: events.OpStat, First: path(0), Flags: None},
	{Name: "statfs64", Op: events.OpStat, First: path(0), Flags: None},
	{Name: "access", Op: events.OpStat, First: path(0), Flags: 1, FlagType: flagsMode},
	{Name: "faccessat", Op: events.OpStat, First: at(0, 1), Flags: None},
	{Name: "faccessat2", Op: events.OpStat, First: at(0, 1), Flags: 3, FlagType: flagsAccess, follow: followUnlessFlag, empty: emptyWithFlag},
	{Name: "file_getattr", Op: events.OpStat, First: at(0, 1), Flags: 4, FlagType: flagsAt, follow: followUnlessFlag, empty: nullWithFlag},
	{Name: "name_to_handle_at", Op: events.OpStat, First: at(0, 1), Flags: 4, FlagType: flagsHandle, follow: followIfFlag, empty: emptyWithFlag},
	{Name: "inotify_add_watch", Op: events.OpStat, First: path(1), Flags: 2, FlagType: flagsInotify, follow: followUnlessFlag},
	{Name: "fanotify_mark", Op: events.OpStat, First: at(3, 4), Flags: 1, FlagType: flagsFanotify, follow: followUnlessFlag, empty: nullIsFD, wide: 2},
	{Name: "getxattr", Op: events.OpStat, First: path(0), Flags: None},
	{Name: "lgetxattr", Op: events.OpStat, First: path(0), Flags: None, follow: followNever},
	{Name: "getxattrat", Op: events.OpStat, First: at(0, 1), Flags: 2, FlagType: flagsAt, follow: followUnlessFlag, empty: nullWithFlag},
	{Name: "listxattr", Op: events.OpStat, First: path(0), Flags: None},
	{Name: "llistxattr", Op: events.OpStat, First: path(0), Flags: None, follow: followNever},
	{Name: "listxattrat", Op: events.OpStat, First: at(0, 1), Flags: 2, FlagType: flagsAt, follow: followUnlessFlag, empty: nullWithFlag},

	// Symbolic links and directories, read.
	{Name: "readlink", Op: events.OpReadlink, First: path(0), Flags: None, follow: followNever},
	{Name: "readlinkat", Op: events.OpReadlink, First: at(0, 1), Flags: None, follow: followNever, empty: emptyAlways},
	{Name: "getdents", Op: events.OpList, First: fd(0), Flags: None},
	{Name: "getdents64", Op: events.OpList, First: fd(0), Flags: None},
	{Name: "readdir", Op: events.OpList, First: fd(0), Flags: None},

	// Names made, moved and removed.
	{Name: "rename", Op: events.OpRename, First: path(0), Second: path(1), Flags: None, follow: followNever},
	{Name: "renameat", Op: events.OpRename, First: at(0, 1), Second: at(2, 3), Flags: None, follow: followNever},
	{Name: "renameat2", Op: events.OpRename, First: at(0, 1), Second: at(2, 3), Flags: 4, FlagType: flagsRename, follow: followNever},
	{Name: "link", Op: events.OpCreate, First: path(0), Second: path(1), Flags: None, follow: followNever},
	{Name: "linkat", Op: events.OpCreate, First: at(0, 1), Second: at(2, 3), Flags: 4, FlagType: flagsAt, follow: followIfFlag, empty: emptyWithFlag},
	{Name: "symlink", Op: events.OpCreate, How: BySymlink, First: path(1), Flags: None, follow: followNever},
	{Name: "symlinkat", Op: events.OpCreate, How: BySymlink, First: at(1, 2), Flags: None, follow: followNever},
	{Name: "mkdir", Op: events.OpCreate, First: path(0), Flags: None, follow: followNever, does: MakesDir},
	{Name: "mkdirat", Op: events.OpCreate, First: at(0, 1), Flags: None, follow: followNever, does: MakesDir},
	{Name: "mknod", Op: events.OpCreate, First: path(0), Flags: None, follow: followNever},
	{Name: "mknodat", Op: events.OpCreate, First: at(0, 1), Flags: None, follow: followNever},
	{Name: "bind", Op: events.OpCreate, How: BySockaddr, First: path(1), Flags: None, follow: followNever, does: MaySleep},
	{Name: "connect", Op: events.OpStat, How: BySockaddr, First: path(1), Flags: None, does: MaySleep | Connects},
	{Name: "sendto", Op: events.OpStat, How: BySockaddr, First: path(4), Flags: None, does: MaySleep, where: &seccomp.Argument{Index: 4}},
	{Name: "sendmsg", Op: events.OpStat, How: ByMessages, Flags: None, does: MaySleep | OneMessage, where: &seccomp.Argument{Index: 2, Values: []uint32{shim.HandOverFlags}, Except: true}},
	{Name: "sendmmsg", Op: events.OpStat, How: ByMessages, Flags: None, does: MaySleep},
	{Name: "socketcall", How: BySocketcall, Flags: None, does: MaySleep, where: &seccomp.Argument{Index: 0, Values: socketcalls}},
	{Name: "unlink", Op: events.OpDelete, First: path(0), Flags: None, follow: followNever},
	{Name: "unlinkat", Op: events.OpDelete, First: at(0, 1), Flags: 2, FlagType: flagsAt, follow: followNever},
	{Name: "rmdir", Op: events.OpDelete, First: path(0), Flags: None, follow: followNever, does: RemovesDir},

	// Content and attributes changed, by name or by descriptor.
	{Name: "truncate", Op: events.OpWrite, First: path(0), Flags: None},
	{Name: "truncate64", Op: events.OpWrite, First: path(0), Flags: None},
	{Name: "ftruncate", Op: events.OpWrite, First: fd(0), Flags: None},
	{Name: "ftruncate64", Op: events.OpWrite, First: fd(0), Flags: None},
	{Name: "fallocate", Op: events.OpWrite, First: fd(0), Flags: None, does: MaySleep},
	{Name: "chmod", Op: events.OpChattr, First: path(0), Flags: None, Mode: 1},
	{Name: "fchmod", Op: events.OpChattr, First: fd(0), Flags: None, Mode: 1},
	{Name: "fchmodat", Op: events.OpChattr, First: at(0, 1), Flags: None, Mode: 2},
	{Name: "fchmodat2", Op: events.OpChattr, First: at(0, 1), Flags: 3, FlagType: flagsAt, follow: followUnlessFlag, empty: emptyWithFlag, Mode: 2},
	{Name: "chown", Op: events.OpChattr, First: path(0), Flags: None, Owner: 1},
	{Name: "chown32", Op: events.OpChattr, First: path(0), Flags: None},
	{Name: "lchown", Op: events.OpChattr, First: path(0), Flags: None, follow: followNever, Owner: 1},
	{Name: "lchown32", Op: events.OpChattr, First: path(0), Flags: None, follow: followNever},
	{Name: "fchown", Op: events.OpChattr, First: fd(0), Flags: None, Owner: 1},
	{Name: "fchown32", Op: events.OpChattr, First: fd(0), Flags: None},
	{Name: "fchownat", Op: events.OpChattr, First: at(0, 1), Flags: 4, FlagType: flagsAt, follow: followUnlessFlag, empty: emptyWithFlag, Owner: 2},
	{Name: "utime", Op: events.OpChattr, First: path(0), Flags: None, does: SetsTimes},
	{Name: "utimes", Op: events.OpChattr, First: path(0), Flags: None, does: SetsTimes},
	{Name: "futimesat", Op: events.OpChattr, First: at(0, 1), Flags: None, empty: nullIsFD, does: SetsTimes},
	{Name: "utimensat", Op: events.OpChattr, First: at(0, 1), Flags: 3, FlagType: flagsAt, follow: followUnlessFlag, empty: nullIsFD, does: SetsTimes},
	{Name: "utimensat_time64", Op: events.OpChattr, First: at(0, 1), Flags: 3, FlagType: flagsAt, follow: followUnlessFlag, empty: nullIsFD, does: SetsTimes},
	{Name: "file_setattr", Op: events.OpChattr, First: at(0, 1), Flags: 4, FlagType: flagsAt, follow: followUnlessFlag, empty: nullWithFlag},
	{Name: "setxattr", Op: events.OpChattr, First: path(0), Flags: None},
	{Name: "lsetxattr", Op: events.OpChattr, First: path(0), Flags: None, follow: followNever},
	{Name: "fsetxattr", Op: events.OpChattr, First: fd(0), Flags: None},
	{Name: "setxattrat", Op: events.OpChattr, First: at(0, 1), Flags: 2, FlagType: flagsAt, follow: followUnlessFlag, empty: nullWithFlag},
	{Name: "removexattr", Op: events.OpChattr, First: path(0), Flags: None},
	{Name: "lremovexattr", Op: events.OpChattr, First: path(0), Flags: None, follow: followNever},
	{Name: "fremovexattr", Op: events.OpChattr, First: fd(0), Flags: None},
	{Name: "ioctl", Op: events.OpChattr, First: fd(0), Flags: None, where: &seccomp.Argument{Index: 1, Values: attributeRequests}}, // FS_IOC_SETFLAGS and the like only
	{Name: "removexattrat", Op: events.OpChattr, First: at(0, 1), Flags: 2, FlagType: flagsAt, follow: followUnlessFlag, empty: nullWithFlag},

	// Kernel objects with names.
	{Name: "mq_open", Op: events.OpRead, How: ByQueue, Flags: 1, FlagType: FlagsOpen},
	{Name: "mq_unlink", Op: events.OpDelete, How: ByQueue, Flags: None},
	{Name: "bpf", Op: events.OpStat, How: ByBPF, Flags: None, where: &seccomp.Argument{Index: 0, Values: []uint32{BPFObjPin, BPFObjGet, BPFLinkCreate}}},
	{Name: "perf_event_open", Op: events.OpRead, How: ByPerfEvent, Flags: None},

	// Programs.
	{Name: "execve", Op: events.OpExec, How: ByExec, First: path(0), Flags: None},
	{Name: "execveat", Op: events.OpExec, How: ByExec, First: at(0, 1), Flags: 4, FlagType: flagsAt, follow: followUnlessFlag, empty: emptyWithFlag},

	// What paths are relative to, and what they lead to.
	{Name: "chdir", Op: events.OpChdir, First: path(0), Flags: None},
	{Name: "fchdir", Op: events.OpChdir, First: fd(0), Flags: None},
	{Name: "chroot", Op: events.OpChdir, First: path(0), Flags: None, does: ChangesRoot},
	{Name: "pivot_root", Op: events.OpChdir, First: path(0), Second: path(1), Flags: None, does: ChangesMounts},
	{Name: "mount", Op: events.OpStat, How: ByMount, First: path(0), Second: path(1), Flags: None, does: ChangesMounts},
	{Name: "umount", Op: events.OpStat, First: path(0), Flags: None, does: ChangesMounts | Unmounts},
	{Name: "umount2", Op: events.OpStat, How: ByUmount, First: path(0), Flags: 1, FlagType: flagsUmount, follow: followUnlessFlag, does: ChangesMounts | Unmounts},
	{Name: "open_tree", Op: events.OpStat, First: at(0, 1), Flags: 2, FlagType: flagsAt, follow: followUnlessFlag, empty: emptyWithFlag},
	{Name: "open_tree_attr", Op: events.OpStat, First: at(0, 1), Flags: 2, FlagType: flagsAt, follow: followUnlessFlag, empty: emptyWithFlag},
	{Name: "move_mount", Op: events.OpStat, First: at(0, 1), Second: at(2, 3), Flags: 4, FlagType: flagsMoveMount, follow: followIfFlag, empty: emptyWithFlag, does: ChangesMounts},
	{Name: "mount_setattr", Op: events.OpChattr, First: at(0, 1), Flags: 2, FlagType: flagsAt, follow: followUnlessFlag, empty: emptyWithFlag},
	{Name: "fspick", Op: events.OpStat, First: at(0, 1), Flags: 2, FlagType: flagsFspick, follow: followUnlessFlag, empty: emptyWithFlag},
	{Name: "fsconfig", Op: events.OpStat, How: ByFsconfig, First: at(4, 3), Flags: None},
	{Name: "quotactl", Op: events.OpStat, How: ByQuota, Flags: None},
	{Name: "quotactl_fd", Op: events.OpStat, First: fd(0), Flags: None},
	{Name: "unshare", How: ByNamespace, Flags: None},
	{Name: "setns", How: ByNamespace, Flags: None, does: JoinsNamespace},

	// Programs that trace.
	{Name: "ptrace", How: ByPtrace, Flags: None},
	{Name: "seccomp", How: BySeccomp, Flags: None},
	{Name: "prctl", How: ByPrctl, Flags: None, where: &seccomp.Argument{Index: 0, Values: []uint32{unix.PR_SET_SECCOMP, unix.PR_SET_CHILD_SUBREAPER, unix.PR_SET_SYSCALL_USER_DISPATCH}}},

	// Requests on a ring pass no filter.
	{Name: "io_uring_setup", How: ByDenial, Flags: None, does: MakesRing},
	{Name: "io_uring_enter", How: ByDenial, Flags: None},
	{Name: "io_uring_register", How: ByDenial, Flags: None},
}

// Calls of socketcall(2) that have an address: linux/net.h.
const (
	SocketcallBind     = 2
	socketcallConnect  = 3
	SocketcallSendto   = 11
	SocketcallSendmsg  = 16
	SocketcallSendmmsg = 20
)

var socketcalls = []uint32{SocketcallBind, socketcallConnect, SocketcallSendto, SocketcallSendmsg, SocketcallSendmmsg}

// Commands of bpf(2) that name files: linux/bpf.h.
const (
	BPFObjPin     = 6
	BPFObjGet     = 7
	BPFLinkCreate = 28
)

// attributeRequests are the ioctls that change attributes of any file, as chattr(1) does:
// FS_IOC_SETFLAGS, which has another number for 32-bit programs, and FS_IOC_FSSETXATTR.
var attributeRequests = []uint32{unix.FS_IOC_SETFLAGS, 0x40046602, 0x401c5820}
