package tracer

import "github.com/fstrace/fstrace/events"

// A row says how to read one system call: what it means, which of its arguments
// name files, and what its flags change. The filter, the decoder and
// docs/syscalls.md are all made from the table of rows; docs/adding-a-syscall.md
// says how to add one. A name stands for that call in each ABI that has it.
type row struct {
	name string
	op   events.Op
	how  method

	first, second ref // what it names; the second path of renames and links

	flags    int8 // which argument holds the flags; none if it has none
	flagType flagType
	follow   followRule
	empty    emptyRule

	setsTimes bool // it may change the time by which content is told from content
}

// A ref is an argument pair that names a file: a directory descriptor and a
// string. dir is none for calls relative to the working directory, path is none
// for calls on the descriptor itself. The zero ref, unlike a used one, is not set.
type ref struct {
	dir, path int8
	set       bool
}

// opens reports whether the call opens a file.
func (r *row) opens() bool { return r.how == byOpen || r.how == byOpenHow || r.how == byHandle }

// none stands for an argument that a call does not have.
const none = -1

func path(arg int8) ref           { return ref{dir: none, path: arg, set: true} }
func at(dirArg, pathArg int8) ref { return ref{dir: dirArg, path: pathArg, set: true} }
func fd(arg int8) ref             { return ref{dir: arg, path: none, set: true} }

// A method is a way of reading a call's arguments. Most calls are read by their
// refs alone.
type method uint8

const (
	byRefs       method = iota
	byOpen              // open flags decide op and state
	byOpenHow           // openat2: flags in a struct
	byExec              // the program and its interpreters
	bySymlink           // the first argument is the new link's content
	bySockaddr          // first.path points to an address; the argument behind it is its length
	byMessages          // sendmsg, sendmmsg: argument 1 points to messages that may have addresses
	bySocketcall        // i386: argument 0 is the call, 1 points to its arguments
	byHandle            // open_by_handle_at
	byMount             // mount: the source is a path for some flags only
	byUmount            // umount2: a mount that is to expire must not be looked at
	byFsconfig          // fsconfig: a path for some commands and options only
	byBPF               // bpf: a path for some commands, in a struct
	byPerfEvent         // perf_event_open: a program to put a uprobe into, in a struct
	byQuota             // quotactl: a device and, for one command, a file
	byQueue             // mq_open, mq_unlink: a name that is no path
	byDenial            // io_uring: answered, or let through and noted
	byPtrace            // ptrace: no access, but who wants to trace must be let
	bySeccomp           // seccomp, prctl: no access, but a filter may be hidden from what it wants
	byNamespace         // unshare, setns: no access, but paths may mean something else afterwards
)

// A flagType is how a flags argument is read and printed.
type flagType uint8

const (
	flagsNone flagType = iota
	flagsOpen
	flagsAt
	flagsAccess // AT_EACCESS, where others have AT_REMOVEDIR
	flagsHandle // AT_HANDLE_FID, there
	flagsRename
	flagsUmount
	flagsInotify
	flagsFanotify
	flagsMoveMount
	flagsFspick
	flagsMode // access(2)'s mode
)

// A followRule tells whether a call follows a symbolic link at the path's end.
type followRule uint8

const (
	followAlways followRule = iota
	followNever
	followUnlessFlag // not with AT_SYMLINK_NOFOLLOW or its like
	followIfFlag     // with AT_SYMLINK_FOLLOW only
)

// An emptyRule tells what a path that is empty or NULL means to a call.
type emptyRule uint8

const (
	emptyFails    emptyRule = iota // ENOENT, EFAULT
	emptyWithFlag                  // the descriptor, if the string is empty, with AT_EMPTY_PATH
	nullWithFlag                   // the same, and for NULL as well (Linux 6.11 for stat, 6.13 for xattrs)
	emptyAlways                    // the descriptor, if the string is empty: readlinkat
	nullIsFD                       // the descriptor, if the pointer is NULL and there are no flags; else as emptyWithFlag
)

// table has one row a system call, grouped by what the calls do.
var table = []row{
	// Opening.
	{name: "open", how: byOpen, first: path(0), flags: 1, flagType: flagsOpen},
	{name: "openat", how: byOpen, first: at(0, 1), flags: 2, flagType: flagsOpen},
	{name: "openat2", how: byOpenHow, first: at(0, 1), flags: 2, flagType: flagsOpen},
	{name: "creat", how: byOpen, first: path(0), flags: none, flagType: flagsOpen},
	{name: "open_by_handle_at", how: byHandle, first: fd(0), flags: 2, flagType: flagsOpen},
	{name: "acct", op: events.OpWrite, first: path(0), flags: none},
	{name: "uselib", op: events.OpExec, first: path(0), flags: none},
	{name: "swapon", op: events.OpWrite, first: path(0), flags: none},
	{name: "swapoff", op: events.OpStat, first: path(0), flags: none},

	// Existence and metadata.
	{name: "stat", op: events.OpStat, first: path(0), flags: none},
	{name: "lstat", op: events.OpStat, first: path(0), flags: none, follow: followNever},
	{name: "oldstat", op: events.OpStat, first: path(0), flags: none},
	{name: "oldlstat", op: events.OpStat, first: path(0), flags: none, follow: followNever},
	{name: "stat64", op: events.OpStat, first: path(0), flags: none},
	{name: "lstat64", op: events.OpStat, first: path(0), flags: none, follow: followNever},
	{name: "newfstatat", op: events.OpStat, first: at(0, 1), flags: 3, flagType: flagsAt, follow: followUnlessFlag, empty: nullWithFlag},
	{name: "fstatat64", op: events.OpStat, first: at(0, 1), flags: 3, flagType: flagsAt, follow: followUnlessFlag, empty: nullWithFlag},
	{name: "statx", op: events.OpStat, first: at(0, 1), flags: 2, flagType: flagsAt, follow: followUnlessFlag, empty: nullWithFlag},
	{name: "statfs", op: events.OpStat, first: path(0), flags: none},
	{name: "statfs64", op: events.OpStat, first: path(0), flags: none},
	{name: "access", op: events.OpStat, first: path(0), flags: 1, flagType: flagsMode},
	{name: "faccessat", op: events.OpStat, first: at(0, 1), flags: none},
	{name: "faccessat2", op: events.OpStat, first: at(0, 1), flags: 3, flagType: flagsAccess, follow: followUnlessFlag, empty: emptyWithFlag},
	{name: "file_getattr", op: events.OpStat, first: at(0, 1), flags: 4, flagType: flagsAt, follow: followUnlessFlag, empty: nullWithFlag},
	{name: "name_to_handle_at", op: events.OpStat, first: at(0, 1), flags: 4, flagType: flagsHandle, follow: followIfFlag, empty: emptyWithFlag},
	{name: "inotify_add_watch", op: events.OpStat, first: path(1), flags: 2, flagType: flagsInotify, follow: followUnlessFlag},
	{name: "fanotify_mark", op: events.OpStat, first: at(3, 4), flags: 1, flagType: flagsFanotify, follow: followUnlessFlag, empty: nullIsFD},
	{name: "getxattr", op: events.OpStat, first: path(0), flags: none},
	{name: "lgetxattr", op: events.OpStat, first: path(0), flags: none, follow: followNever},
	{name: "getxattrat", op: events.OpStat, first: at(0, 1), flags: 2, flagType: flagsAt, follow: followUnlessFlag, empty: nullWithFlag},
	{name: "listxattr", op: events.OpStat, first: path(0), flags: none},
	{name: "llistxattr", op: events.OpStat, first: path(0), flags: none, follow: followNever},
	{name: "listxattrat", op: events.OpStat, first: at(0, 1), flags: 2, flagType: flagsAt, follow: followUnlessFlag, empty: nullWithFlag},

	// Symbolic links and directories, read.
	{name: "readlink", op: events.OpReadlink, first: path(0), flags: none, follow: followNever},
	{name: "readlinkat", op: events.OpReadlink, first: at(0, 1), flags: none, follow: followNever, empty: emptyAlways},
	{name: "getdents", op: events.OpList, first: fd(0), flags: none},
	{name: "getdents64", op: events.OpList, first: fd(0), flags: none},
	{name: "readdir", op: events.OpList, first: fd(0), flags: none},

	// Names made, moved and removed.
	{name: "rename", op: events.OpRename, first: path(0), second: path(1), flags: none, follow: followNever},
	{name: "renameat", op: events.OpRename, first: at(0, 1), second: at(2, 3), flags: none, follow: followNever},
	{name: "renameat2", op: events.OpRename, first: at(0, 1), second: at(2, 3), flags: 4, flagType: flagsRename, follow: followNever},
	{name: "link", op: events.OpCreate, first: path(0), second: path(1), flags: none, follow: followNever},
	{name: "linkat", op: events.OpCreate, first: at(0, 1), second: at(2, 3), flags: 4, flagType: flagsAt, follow: followIfFlag, empty: emptyWithFlag},
	{name: "symlink", op: events.OpCreate, how: bySymlink, first: path(1), flags: none, follow: followNever},
	{name: "symlinkat", op: events.OpCreate, how: bySymlink, first: at(1, 2), flags: none, follow: followNever},
	{name: "mkdir", op: events.OpCreate, first: path(0), flags: none, follow: followNever},
	{name: "mkdirat", op: events.OpCreate, first: at(0, 1), flags: none, follow: followNever},
	{name: "mknod", op: events.OpCreate, first: path(0), flags: none, follow: followNever},
	{name: "mknodat", op: events.OpCreate, first: at(0, 1), flags: none, follow: followNever},
	{name: "bind", op: events.OpCreate, how: bySockaddr, first: path(1), flags: none, follow: followNever},
	{name: "connect", op: events.OpStat, how: bySockaddr, first: path(1), flags: none},
	{name: "sendto", op: events.OpStat, how: bySockaddr, first: path(4), flags: none},
	{name: "sendmsg", op: events.OpStat, how: byMessages, flags: none},
	{name: "sendmmsg", op: events.OpStat, how: byMessages, flags: none},
	{name: "socketcall", how: bySocketcall, flags: none},
	{name: "unlink", op: events.OpDelete, first: path(0), flags: none, follow: followNever},
	{name: "unlinkat", op: events.OpDelete, first: at(0, 1), flags: 2, flagType: flagsAt, follow: followNever},
	{name: "rmdir", op: events.OpDelete, first: path(0), flags: none, follow: followNever},

	// Content and attributes changed, by name or by descriptor.
	{name: "truncate", op: events.OpWrite, first: path(0), flags: none},
	{name: "truncate64", op: events.OpWrite, first: path(0), flags: none},
	{name: "ftruncate", op: events.OpWrite, first: fd(0), flags: none},
	{name: "ftruncate64", op: events.OpWrite, first: fd(0), flags: none},
	{name: "fallocate", op: events.OpWrite, first: fd(0), flags: none},
	{name: "chmod", op: events.OpChattr, first: path(0), flags: none},
	{name: "fchmod", op: events.OpChattr, first: fd(0), flags: none},
	{name: "fchmodat", op: events.OpChattr, first: at(0, 1), flags: none},
	{name: "fchmodat2", op: events.OpChattr, first: at(0, 1), flags: 3, flagType: flagsAt, follow: followUnlessFlag, empty: emptyWithFlag},
	{name: "chown", op: events.OpChattr, first: path(0), flags: none},
	{name: "chown32", op: events.OpChattr, first: path(0), flags: none},
	{name: "lchown", op: events.OpChattr, first: path(0), flags: none, follow: followNever},
	{name: "lchown32", op: events.OpChattr, first: path(0), flags: none, follow: followNever},
	{name: "fchown", op: events.OpChattr, first: fd(0), flags: none},
	{name: "fchown32", op: events.OpChattr, first: fd(0), flags: none},
	{name: "fchownat", op: events.OpChattr, first: at(0, 1), flags: 4, flagType: flagsAt, follow: followUnlessFlag, empty: emptyWithFlag},
	{name: "utime", op: events.OpChattr, first: path(0), flags: none, setsTimes: true},
	{name: "utimes", op: events.OpChattr, first: path(0), flags: none, setsTimes: true},
	{name: "futimesat", op: events.OpChattr, first: at(0, 1), flags: none, empty: nullIsFD, setsTimes: true},
	{name: "utimensat", op: events.OpChattr, first: at(0, 1), flags: 3, flagType: flagsAt, follow: followUnlessFlag, empty: nullIsFD, setsTimes: true},
	{name: "utimensat_time64", op: events.OpChattr, first: at(0, 1), flags: 3, flagType: flagsAt, follow: followUnlessFlag, empty: nullIsFD, setsTimes: true},
	{name: "file_setattr", op: events.OpChattr, first: at(0, 1), flags: 4, flagType: flagsAt, follow: followUnlessFlag, empty: nullWithFlag},
	{name: "setxattr", op: events.OpChattr, first: path(0), flags: none},
	{name: "lsetxattr", op: events.OpChattr, first: path(0), flags: none, follow: followNever},
	{name: "fsetxattr", op: events.OpChattr, first: fd(0), flags: none},
	{name: "setxattrat", op: events.OpChattr, first: at(0, 1), flags: 2, flagType: flagsAt, follow: followUnlessFlag, empty: nullWithFlag},
	{name: "removexattr", op: events.OpChattr, first: path(0), flags: none},
	{name: "lremovexattr", op: events.OpChattr, first: path(0), flags: none, follow: followNever},
	{name: "fremovexattr", op: events.OpChattr, first: fd(0), flags: none},
	{name: "ioctl", op: events.OpChattr, first: fd(0), flags: none}, // FS_IOC_SETFLAGS and the like only
	{name: "removexattrat", op: events.OpChattr, first: at(0, 1), flags: 2, flagType: flagsAt, follow: followUnlessFlag, empty: nullWithFlag},

	// Kernel objects with names.
	{name: "mq_open", op: events.OpRead, how: byQueue, flags: 1, flagType: flagsOpen},
	{name: "mq_unlink", op: events.OpDelete, how: byQueue, flags: none},
	{name: "bpf", op: events.OpStat, how: byBPF, flags: none},
	{name: "perf_event_open", op: events.OpRead, how: byPerfEvent, flags: none},

	// Programs.
	{name: "execve", op: events.OpExec, how: byExec, first: path(0), flags: none},
	{name: "execveat", op: events.OpExec, how: byExec, first: at(0, 1), flags: 4, flagType: flagsAt, follow: followUnlessFlag, empty: emptyWithFlag},

	// What paths are relative to, and what they lead to.
	{name: "chdir", op: events.OpChdir, first: path(0), flags: none},
	{name: "fchdir", op: events.OpChdir, first: fd(0), flags: none},
	{name: "chroot", op: events.OpChdir, first: path(0), flags: none},
	{name: "pivot_root", op: events.OpChdir, first: path(0), second: path(1), flags: none},
	{name: "mount", op: events.OpStat, how: byMount, first: path(0), second: path(1), flags: none},
	{name: "umount", op: events.OpStat, first: path(0), flags: none},
	{name: "umount2", op: events.OpStat, how: byUmount, first: path(0), flags: 1, flagType: flagsUmount, follow: followUnlessFlag},
	{name: "open_tree", op: events.OpStat, first: at(0, 1), flags: 2, flagType: flagsAt, follow: followUnlessFlag, empty: emptyWithFlag},
	{name: "open_tree_attr", op: events.OpStat, first: at(0, 1), flags: 2, flagType: flagsAt, follow: followUnlessFlag, empty: emptyWithFlag},
	{name: "move_mount", op: events.OpStat, first: at(0, 1), second: at(2, 3), flags: 4, flagType: flagsMoveMount, follow: followIfFlag, empty: emptyWithFlag},
	{name: "mount_setattr", op: events.OpChattr, first: at(0, 1), flags: 2, flagType: flagsAt, follow: followUnlessFlag, empty: emptyWithFlag},
	{name: "fspick", op: events.OpStat, first: at(0, 1), flags: 2, flagType: flagsFspick, follow: followUnlessFlag, empty: emptyWithFlag},
	{name: "fsconfig", op: events.OpStat, how: byFsconfig, first: at(4, 3), flags: none},
	{name: "quotactl", op: events.OpStat, how: byQuota, flags: none},
	{name: "quotactl_fd", op: events.OpStat, first: fd(0), flags: none},
	{name: "unshare", how: byNamespace, flags: none},
	{name: "setns", how: byNamespace, flags: none},

	// Programs that trace.
	{name: "ptrace", how: byPtrace, flags: none},
	{name: "seccomp", how: bySeccomp, flags: none},
	{name: "prctl", how: bySeccomp, flags: none}, // PR_SET_SECCOMP only

	// Requests on a ring pass no filter.
	{name: "io_uring_setup", how: byDenial, flags: none},
	{name: "io_uring_enter", how: byDenial, flags: none},
	{name: "io_uring_register", how: byDenial, flags: none},
}

// wide lists the calls with a 64-bit argument before others that the table counts,
// and which it is. ABIs with 32-bit registers pass it in two, so that those behind it
// move up.
var wide = map[string]int8{"fanotify_mark": 2}
