package events

import "time"

// An Op says what an access means to a cache. [Op.String] returns the word for it in the
// text format and in the "op" field of a JSON event.
type Op uint8

// Operations on paths, then the start and the exit of a process. OpExec is both: with a
// Syscall it means that the kernel opened a program or one of its interpreters; without
// one it means that the process has changed its program.
const (
	OpNone     Op = iota
	OpRead        // open for reading: the content matters
	OpWrite       // open for writing, truncate, create by open
	OpStat        // existence and metadata; opening a directory
	OpReadlink    // read the target of a symbolic link
	OpList        // read the names in a directory: getdents(2)
	OpExec        // execute a program, "#!" interpreter or ELF interpreter
	OpCreate      // mkdir, mknod, symlink, link, bind
	OpDelete      // unlink, rmdir
	OpRename      // two paths
	OpChattr      // chmod, chown, utime, xattr writes
	OpChdir       // chdir, fchdir, chroot, pivot_root
	OpConnect     // address something that is not a file: a network peer, an abstract socket
	OpStart       // a process started
	OpExit        // a process ended
	opCount
)

var opNames = [opCount]string{
	"", "read", "write", "stat", "readlink", "list", "exec", "create",
	"delete", "rename", "chattr", "chdir", "connect", "start", "exit",
}

// String returns the word for o, or "" if o is not a known operation.
func (o Op) String() string {
	if o < opCount {
		return opNames[o]
	}
	return ""
}

// ParseOp returns the Op for a word, and reports whether there is one.
func ParseOp(word string) (Op, bool) {
	for op, name := range opNames {
		if name == word && op != 0 {
			return Op(op), true
		}
	}
	return OpNone, false
}

// A State says what was at a path when the call was about to run. For a call that follows
// a symbolic link at the end of the path, it is the state of the link's target.
type State uint8

// States. StateUnknown means that nobody could look at the path. It is never a guess.
const (
	StateNone    State = iota // no path, or a process event
	StateUnknown              // nobody could look at it
	StateFile                 // a regular file
	StateDir                  // a directory
	StateSymlink              // a symbolic link that the call does not follow
	StateOther                // a device, pipe or socket
	StateAbsent               // nothing there
	stateCount
)

var stateNames = [stateCount]string{"", "unknown", "file", "dir", "symlink", "other", "absent"}

// String returns the word for s, or "" if there is none.
func (s State) String() string {
	if s < stateCount {
		return stateNames[s]
	}
	return ""
}

// ParseState returns the State for a word, and reports whether there is one.
func ParseState(word string) (State, bool) {
	for s, name := range stateNames {
		if name == word && s != 0 {
			return State(s), true
		}
	}
	return StateNone, false
}

// A FileInfo is what lstat(2) or stat(2) returned for a file when a call was about to
// run. The zero FileInfo means that nothing is known.
type FileInfo struct {
	Dev, Ino     uint64
	Mode         uint32 // st_mode: type and permissions
	UID, GID     uint32 // the owner
	Nlink        uint32 // number of names
	Size         int64  // bytes
	Mtime, Ctime int64  // nanoseconds since 1970
}

// Known reports whether f is not the zero FileInfo.
func (f *FileInfo) Known() bool { return f.Mode != 0 }

// Attributes are new permissions, and a new owner. The zero value is for calls that set
// neither, or of which it is not known.
type Attributes struct {
	HasMode, HasOwner bool
	Mode              uint32 // permission bits
	UID, GID          uint32 // ^0 leaves it as it is; both as in the user namespace of the caller
}

// A Link is a symbolic link that the kernel followed while it resolved a path.
type Link struct {
	Path   string // absolute path of the link, with its directory part resolved
	Target string // its content
}

// A Way is what is at a path through which another path leads: a directory, or whatever
// stops the kernel there. That can be nothing.
type Way struct {
	Path  string // absolute and canonical
	State State
	Info  FileInfo // zero if nobody looked
}

// An Event is an access, or the start, exec or exit of a process ([Event.IsProcess]).
// Fields that do not apply are zero.
type Event struct {
	Seq  uint64    // position in the record, from 1
	Time time.Time // when fstrace got the notification, before the call ran
	PID  int       // the process (tgid), in fstrace's own pid namespace
	TID  int       // the thread
	Op   Op

	// Fields of accesses.

	Syscall string   // name in the kernel's tables; "" for a descriptor that the command inherited
	ABI     string   // "" for the native ABI, else "i386", "x32" or "arm"
	Path    string   // absolute, with the directory part resolved
	As      string   // the string that the program passed, if it differs from Path
	To      string   // the second path of a rename or a link
	ToAs    string   // the string that the program passed for To, if it differs
	Target  string   // the content of a new symbolic link
	Flags   []string // names of the call's flags
	State   State    // of Path
	ToState State    // of To
	Links   []Link   // symbolic links that were followed for Path and To, in order
	Real    string   // where Path leads, if the call follows a link at its end

	// Result is what the call returned, where that is known: "0" if it succeeded, else
	// the name of the error, as "ENOENT". It is "" where it is not known, as for all
	// calls that were notified: fstrace learns of them before they run.
	Result string

	// Address is the address of an OpConnect, which has no Path: the address family and
	// the address, as "inet 127.0.0.1:80", "inet6 [::1]:80", "vsock 2:1024", "unix
	// @name".
	Address string

	// OtherNamespace means that the call changes mounts, but not in the mount namespace
	// to which the paths of the record belong. It is not encoded.
	OtherNamespace bool

	// Sets has what chmod or chown is to set. It is for sinks in this process and is not
	// encoded.
	Sets Attributes

	// Left has the directories that the paths pass through and leave by "..". They must
	// exist. It is for sinks in this process and is not encoded.
	Left []string

	// Ways has what was newly looked at while the paths were resolved: the directories
	// that they lead through, and what stopped the kernel. It is for sinks in this
	// process and is not encoded.
	Ways []Way

	// Info and ToInfo are the metadata from which State and ToState follow. They are zero
	// if the path was absent or nobody looked. They are for sinks in this process and are
	// not encoded.
	Info, ToInfo FileInfo

	// Fields of processes: OpStart has PPID, Argv, Exe and Cwd; OpExec has Argv, Exe and
	// Cwd; OpExit has Exit.

	PPID int
	Argv []string
	Exe  string
	Cwd  string
	Exit *Exit
}

// Succeeded is the Result of a call that succeeded.
const Succeeded = "0"

// IsProcess reports whether e is the start, exec or exit of a process, and not an access.
func (e *Event) IsProcess() bool {
	return e.Op == OpStart || e.Op == OpExit || e.Op == OpExec && e.Syscall == ""
}

// A Reason says why a record is incomplete. The list is closed, so consumers may switch
// on it. docs/completeness.md explains each reason.
type Reason string

// Reasons.
const (
	ReasonIOURing        Reason = "io_uring"              // a process set up a ring, whose requests do not pass the filter
	ReasonForeignABI     Reason = "foreign_abi"           // a call of an ABI that the filter has no table for
	ReasonLostListener   Reason = "lost_listener"         // notifications stopped before the end of the session
	ReasonOpaqueProcess  Reason = "opaque_process"        // the kernel does not permit reading the memory of a process
	ReasonRunning        Reason = "descendant_running"    // a descendant outlived the command
	ReasonUntraced       Reason = "untraced_process"      // the start and end of a process were not seen
	ReasonMountNamespace Reason = "other_mount_namespace" // a path on a file system that the host has not mounted
	ReasonBypassedFilter Reason = "bypassed_filter"       // a filter of the command does not see the recorded calls
	ReasonNested         Reason = "nested"                // another listener above sees the accesses instead
	ReasonUnresolvedPath Reason = "unresolved_path"       // a path could not be made absolute
	ReasonUnanswered     Reason = "unanswered_lookup"     // a file system did not answer a lookup in time
	ReasonChanged        Reason = "changed_during_run"    // another process changed an input or an output
	ReasonSpoolFull      Reason = "spool_full"            // fstraced had no space for the events
)

// An Incomplete is one reason why a record is incomplete.
type Incomplete struct {
	Reason Reason
	PID    int // 0 if it concerns the whole session
	Detail string
}

// A Header begins a record.
type Header struct {
	Session string // UUIDv7
	Argv    []string
	Cwd     string
	// Process is the state that the command's process starts with; nil if it is not
	// known. It is for sinks in this process and is not encoded.
	Process *ProcessState
}

// A ProcessState is what a process starts with, besides its arguments and files.
type ProcessState struct {
	UID, GID    uint32 // effective
	Umask       uint32 // umask(2)
	Env         []string
	Descriptors []Descriptor // by number
}

// A Descriptor is an open file that a process starts with.
type Descriptor struct {
	FD    int
	Kind  DescriptorKind
	Path  string // "" for a pipe or a socket
	Write bool   // open for writing
}

// A DescriptorKind says what a descriptor refers to. Its values are the words in
// encodings.
type DescriptorKind string

// Kinds of descriptors.
const (
	DescriptorFile     DescriptorKind = "file"
	DescriptorDir      DescriptorKind = "dir"
	DescriptorPipe     DescriptorKind = "pipe" // or a FIFO
	DescriptorSocket   DescriptorKind = "socket"
	DescriptorTerminal DescriptorKind = "terminal"
	DescriptorNull     DescriptorKind = "null" // /dev/null
	DescriptorOther    DescriptorKind = "other"
)

// A Trailer ends a record. A record without a trailer was cut off and must be treated as
// incomplete.
type Trailer struct {
	End        time.Time    // of the session
	Exit       Exit         // of the command
	Incomplete []Incomplete // empty if the record is complete
	Counts     Counts
}

// Complete reports whether the record has every access of the command and its
// descendants.
func (t *Trailer) Complete() bool { return len(t.Incomplete) == 0 }

// Counts has the number of events for each [Op], including those that filters removed.
type Counts [opCount]uint64

// Add counts e.
func (c *Counts) Add(e *Event) { c[e.Op]++ }

// Total returns the number of all events.
func (c *Counts) Total() uint64 {
	var n uint64
	for _, k := range c {
		n += k
	}
	return n
}

// A Sink receives a record. It is called by one goroutine at a time: Begin once, then
// Event for each event, then End once. The Event, and everything that it refers to, is
// valid only until the method returns; a sink that keeps it must copy it.
//
// If a method returns an error, the session calls no further method of the sink. The
// command continues to run, and the session returns the error at its end. A sink without
// End has a record that is cut off.
type Sink interface {
	Begin(*Header) error
	Event(*Event) error
	End(*Trailer) error
}

// A SinkFunc is a [Sink] that calls a function for each event and ignores the header and
// the trailer.
type SinkFunc func(*Event) error

// Begin returns nil.
func (SinkFunc) Begin(*Header) error { return nil }

// Event calls f.
func (f SinkFunc) Event(e *Event) error { return f(e) }

// End returns nil.
func (SinkFunc) End(*Trailer) error { return nil }
