package syscalls

import (
	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/seccomp"
	"golang.org/x/sys/unix"
)

// A Row describes one system call: what it means, which arguments name files, and what
// its flags change. The filter, the decoder and docs/syscalls.md are made from the table
// of rows; docs/adding-a-syscall.md explains how to add one. A row applies to each ABI
// that has a call of this name.
type Row struct {
	Name string
	Op   events.Op
	How  Method

	First, Second Ref // what it names; the second path of renames and links

	Flags    int8 // which argument holds the flags; none if it has none
	FlagType FlagType
	follow   followRule
	empty    emptyRule

	// Mode and Owner are the arguments that hold new permissions, and the new user with
	// the new group behind it; 0 for none.
	Mode, Owner int8

	does  Effects           // what else it does, or may do
	wide  int8              // an argument of 64 bits with others of the table behind it; 0 for none
	where *seccomp.Argument // which of the calls are notified; nil for all
}

// Effects are properties of single calls, one bit each.
type Effects uint16

// The effects of calls.
const (
	// SetsTimes: it may change the time by which contents are distinguished.
	SetsTimes Effects = 1 << iota
	// MaySleep: it may sleep until a signal interrupts it. Whether an open does depends
	// on what it opens.
	MaySleep
	// ChangesRoot: it gives the caller another root directory.
	ChangesRoot
	// ChangesMounts: it may mount or unmount a file system.
	ChangesMounts
	// Unmounts: it unmounts, without asking the server of the file system.
	Unmounts
	// JoinsNamespace: it may join a namespace that was not made in the session.
	JoinsNamespace
	// MakesRing: it makes a ring of io_uring.
	MakesRing
	// Connects: AF_UNSPEC ends a connection, where for others it means AF_INET.
	Connects
	// OneMessage: its argument is one message, not an array of them.
	OneMessage
	// MakesDir: it makes a directory.
	MakesDir
	// RemovesDir: it removes a directory, whatever its flags.
	RemovesDir
)

// Has reports whether the call has all effects of e.
func (r *Row) Has(e Effects) bool { return r.does&e == e }

// A Ref is an argument pair that names a file: a directory descriptor and a
// string. dir is none for calls relative to the working directory, path is none
// for calls on the descriptor itself. The zero ref, unlike a used one, is not set.
type Ref struct {
	Dir, Path int8
	Set       bool
}

// Opens reports whether the call opens a file.
func (r *Row) Opens() bool { return r.How == ByOpen || r.How == ByOpenHow || r.How == ByHandle }

// Argument returns an argument of a call by its number in the table. ABIs with 32-bit
// registers pass a 64-bit argument in two registers, so the arguments after it have
// higher numbers.
func (r *Row) Argument(args *[6]uint64, n int8, abi *seccomp.ABI) uint64 {
	if r.wide > 0 && n > r.wide && Narrow(abi) {
		n++
	}
	return args[n]
}

// TakesEntry reports whether the call makes, renames or removes the entries that its
// paths name. Then a slash at the end of a path does not make the kernel follow a
// symbolic link.
func (r *Row) TakesEntry() bool {
	return r.Op == events.OpCreate || r.Op == events.OpDelete || r.Op == events.OpRename
}

// Follows reports whether a call with these flags follows a symbolic link at the end of
// its first or its second path.
func (r *Row) Follows(flags uint64, second bool) bool {
	bits := r.FlagType.lookupBits(second)
	switch r.follow {
	case followUnlessFlag:
		return flags&bits.noFollow == 0
	case followIfFlag:
		return flags&bits.follow != 0 && !(second && r.TakesEntry())
	case followAlways, followNever:
	}
	return r.follow == followAlways
}

// EmptyIsDirectory reports whether an empty path stands for the directory that paths are
// relative to.
func (r *Row) EmptyIsDirectory(flags uint64, second bool) bool {
	return r.empty == emptyAlways || r.empty != emptyFails && flags&r.FlagType.lookupBits(second).empty != 0
}

// NullIsDirectory reports whether NULL stands for the directory that paths are relative
// to; dir is that directory's descriptor.
func (r *Row) NullIsDirectory(flags uint64, second bool, dir int32) bool {
	withFlag := flags&r.FlagType.lookupBits(second).empty != 0
	switch r.empty {
	case nullWithFlag:
		return withFlag
	case nullIsFD:
		return !withFlag && dir != unix.AT_FDCWD
	case emptyFails, emptyWithFlag, emptyAlways:
	}
	return false
}

// None stands for an argument that a call does not have.
const None = -1

// FromCwd is a path relative to the working directory, in whichever argument.
var FromCwd = Ref{Dir: None}

func path(arg int8) Ref           { return Ref{Dir: None, Path: arg, Set: true} }
func at(dirArg, pathArg int8) Ref { return Ref{Dir: dirArg, Path: pathArg, Set: true} }
func fd(arg int8) Ref             { return Ref{Dir: arg, Path: None, Set: true} }

// A Method is a way of reading a call's arguments. Most calls are read by their
// refs alone.
type Method uint8

const (
	ByRefs       Method = iota
	ByOpen              // open flags decide op and state
	ByOpenHow           // openat2: flags in a struct
	ByExec              // the program and its interpreters
	BySymlink           // the first argument is the new link's content
	BySockaddr          // first.path points to an address; the argument behind it is its length
	ByMessages          // sendmsg, sendmmsg: argument 1 points to messages that may have addresses
	BySocketcall        // i386: argument 0 is the call, 1 points to its arguments
	ByHandle            // open_by_handle_at
	ByMount             // mount: the source is a path for some flags only
	ByUmount            // umount2: a mount that is to expire must not be looked at
	ByFsconfig          // fsconfig: a path for some commands and options only
	ByBPF               // bpf: a path for some commands, in a struct
	ByPerfEvent         // perf_event_open: a program to put a uprobe into, in a struct
	ByQuota             // quotactl: a device and, for one command, a file
	ByQueue             // mq_open, mq_unlink: a name that is no path
	ByDenial            // io_uring: answered, or let through and noted
	ByPtrace            // ptrace: no access, but who wants to trace must be let
	BySeccomp           // seccomp: no access, but a filter may be hidden from what it wants
	ByPrctl             // prctl: the same
	ByNamespace         // unshare, setns: no access, but paths may mean something else afterwards
)

// A FlagType is how a flags argument is read and printed.
type FlagType uint8

const (
	FlagsNone FlagType = iota
	FlagsOpen
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

// A followRule says whether a call follows a symbolic link at the path's end.
type followRule uint8

const (
	followAlways followRule = iota
	followNever
	followUnlessFlag // not with AT_SYMLINK_NOFOLLOW or its like
	followIfFlag     // with AT_SYMLINK_FOLLOW only
)

// An emptyRule says what an empty path, or NULL, means to a call.
type emptyRule uint8

const (
	emptyFails    emptyRule = iota // ENOENT, EFAULT
	emptyWithFlag                  // the descriptor, if the string is empty, with AT_EMPTY_PATH
	nullWithFlag                   // the same, and for NULL as well (Linux 6.11 for stat, 6.13 for xattrs)
	emptyAlways                    // the descriptor, if the string is empty: readlinkat
	nullIsFD                       // the descriptor, if the pointer is NULL and there are no flags; else as emptyWithFlag
)
