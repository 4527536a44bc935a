package events

import "time"

// An Op is what an access means to a cache. The values are the words of the
// text format and of the "op" field of a JSON event.
type Op uint8

// The operations on paths, then the three steps in the life of a process. Exec
// is both: with a Path it is the kernel's opening of a program or of one of its
// interpreters, without a Syscall it is the process's change of program.
const (
	OpNone     Op = iota
	OpRead        // open for reading: the content matters
	OpWrite       // open for writing, truncate, create by open
	OpStat        // existence and metadata, directories opened but not listed
	OpReadlink    // the target of a symbolic link
	OpList        // the names in a directory: getdents was really called
	OpExec        // program, "#!" interpreter, ELF interpreter
	OpCreate      // mkdir, mknod, symlink, link, bind
	OpDelete      // unlink, rmdir
	OpRename      // two paths
	OpChattr      // chmod, chown, utime, xattr writes
	OpChdir       // chdir, fchdir, chroot, pivot_root
	OpConnect     // to something that is no file: a network address, an abstract socket
	OpStart       // a process began
	OpExit        // a process ended
	opCount
)

var opNames = [opCount]string{
	"", "read", "write", "stat", "readlink", "list", "exec", "create",
	"delete", "rename", "chattr", "chdir", "connect", "start", "exit",
}

// String returns the word that the encodings use.
func (o Op) String() string {
	if o < opCount {
		return opNames[o]
	}
	return ""
}

// ParseOp returns the Op with the given word, and whether there is one.
func ParseOp(word string) (Op, bool) {
	for op, name := range opNames {
		if name == word && op != 0 {
			return Op(op), true
		}
	}
	return OpNone, false
}

// A State is what stood at a path when the call that named it was about to
// run. For a call that follows a final symbolic link it is the state of what
// the link leads to.
type State uint8

// States. StateUnknown is for what could not be looked at: it is never a guess.
const (
	StateNone    State = iota // no path, or a process event
	StateUnknown              // could not be determined
	StateFile                 // a regular file
	StateDir                  // a directory
	StateSymlink              // a symbolic link that the call does not follow
	StateOther                // a device, pipe or socket
	StateAbsent               // nothing there
	stateCount
)

var stateNames = [stateCount]string{"", "unknown", "file", "dir", "symlink", "other", "absent"}

// String returns the word that the encodings use.
func (s State) String() string {
	if s < stateCount {
		return stateNames[s]
	}
	return ""
}

// ParseState returns the State with the given word, and whether there is one.
func ParseState(word string) (State, bool) {
	for s, name := range stateNames {
		if name == word && s != 0 {
			return State(s), true
		}
	}
	return StateNone, false
}

// A FileInfo is what stat(2) said of a file when a call was about to run. The zero
// FileInfo says nothing.
type FileInfo struct {
	Dev, Ino     uint64
	Mode         uint32 // st_mode: type and permissions
	UID, GID     uint32 // the owner
	Nlink        uint32 // how many names it has
	Size         int64  // bytes
	Mtime, Ctime int64  // nanoseconds since 1970
}

// Known tells whether f says anything.
func (f *FileInfo) Known() bool { return f.Mode != 0 }

// A Link is a symbolic link that the kernel followed on its way to a path.
type Link struct {
	Path   string // where the link stands: absolute, its directory part resolved
	Target string // what it holds
}

// An Event is one access, or one step in the life of a process. Fields that do
// not apply are zero.
type Event struct {
	Seq  uint64    // position in the record, from 1
	Time time.Time // when fstrace learnt of it, before the call was let through
	PID  int       // the process (tgid), in fstrace's own pid namespace
	TID  int       // the thread
	Op   Op

	// Accesses.

	Syscall string // as the kernel's tables name it; "" for a descriptor that the command inherited
	ABI     string // "" for the machine's own, else "i386", "x32" or "arm"
	Path    string // absolute; directory part resolved as the kernel does
	As      string // the string that the program gave, where it differs from Path
	To      string // the second path of a rename or a link
	ToAs    string // the string given for To, where it differs
	Target  string // what a new symbolic link is to hold
	Flags   []string
	State   State  // of Path
	ToState State  // of To
	Links   []Link // symbolic links followed for Path and To, in order
	Real    string // what Path leads to, where the call follows a final link

	// Address is what an OpConnect names, which has no Path: the address family and
	// the address, as "inet 127.0.0.1:80", "inet6 [::1]:80", "vsock 2:1024", "unix @name".
	Address string

	// Apart: the call changes mounts, but none of the mount namespace that the record's
	// paths are of. It is not encoded.
	Apart bool

	// Left has the directories that the paths lead through and leave by "..": they have to
	// be there. It is for sinks in this process; the encodings leave it out.
	Left []string

	// Info and ToInfo are what State and ToState were told by: zero where nothing
	// was, or where nobody looked. They are for sinks in this process; the encodings
	// leave them out.
	Info, ToInfo FileInfo

	// Steps of a process: OpStart has PPID, Argv, Exe, Cwd; OpExec has Argv,
	// Exe, Cwd; OpExit has Exit.

	PPID int
	Argv []string
	Exe  string
	Cwd  string
	Exit *Exit
}

// IsProcess tells whether e is a step in the life of a process, not an access.
func (e *Event) IsProcess() bool {
	return e.Op == OpStart || e.Op == OpExit || e.Op == OpExec && e.Syscall == ""
}

// An Exit is how a process ended.
type Exit struct {
	Code   int    // exit status, 0 to 255, if Signal is empty
	Signal string // the name of the signal that killed it, "SIGKILL"
	Core   bool   // it left a core dump
}

// A Reason is why a record may miss something. The list is closed: consumers
// may switch on it (docs/completeness.md has each with its meaning).
type Reason string

// Reasons.
const (
	ReasonIOURing        Reason = "io_uring"              // a ring was set up: its requests pass no filter
	ReasonForeignABI     Reason = "foreign_abi"           // a call of an ABI that the filter does not know
	ReasonLostListener   Reason = "lost_listener"         // notifications stopped before the session's end
	ReasonOpaqueProcess  Reason = "opaque_process"        // memory or directories of a process may not be read
	ReasonRunning        Reason = "descendant_running"    // a descendant outlived the command
	ReasonUntraced       Reason = "untraced_process"      // a process's start and end were not seen
	ReasonMountNamespace Reason = "other_mount_namespace" // paths of another mount namespace
	ReasonBypassedFilter Reason = "bypassed_filter"       // a filter of the command's own does not see recorded calls
	ReasonNested         Reason = "nested"                // another listener above sees the accesses instead
	ReasonUnresolvedPath Reason = "unresolved_path"       // a path that could not be made absolute
	ReasonUnanswered     Reason = "unanswered_lookup"     // a file system did not answer in time
	ReasonChanged        Reason = "changed_during_run"    // somebody else changed an input or an output meanwhile
	ReasonSpoolFull      Reason = "spool_full"            // fstraced had no space left for the events
)

// Incomplete is one thing that a record may miss.
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
	// Process is what the command's process starts with; nil if that is not known. It is
	// for sinks in this process; the encodings leave it out.
	Process *ProcessState
}

// A ProcessState is what a process starts with, beside its arguments and files.
type ProcessState struct {
	UID, GID    uint32 // effective
	Umask       uint32 // umask(2)
	Env         []string
	Descriptors []Descriptor // by number
}

// A Descriptor is an open file that a process starts with: one that an exec keeps.
type Descriptor struct {
	FD    int
	Kind  DescriptorKind
	Path  string // "" of a pipe or a socket
	Write bool   // it is open for writing
}

// A DescriptorKind is what a descriptor leads to. The values are the words of the
// encodings.
type DescriptorKind string

// Kinds.
const (
	DescriptorFile     DescriptorKind = "file"
	DescriptorDir      DescriptorKind = "dir"
	DescriptorPipe     DescriptorKind = "pipe" // or a FIFO
	DescriptorSocket   DescriptorKind = "socket"
	DescriptorTerminal DescriptorKind = "terminal"
	DescriptorNull     DescriptorKind = "null" // /dev/null
	DescriptorOther    DescriptorKind = "other"
)

// A Trailer ends a record. A record without one was cut off.
type Trailer struct {
	End        time.Time
	Exit       Exit
	Incomplete []Incomplete // empty if the record is complete
	Counts     Counts
}

// Complete tells whether the record holds every access of the command.
func (t *Trailer) Complete() bool { return len(t.Incomplete) == 0 }

// Counts holds how many events of each kind a record has.
type Counts [opCount]uint64

// Add counts e.
func (c *Counts) Add(e *Event) { c[e.Op]++ }

// Total is the number of all events.
func (c *Counts) Total() uint64 {
	var n uint64
	for _, k := range c {
		n += k
	}
	return n
}

// A Sink receives a record. Its methods are called from one goroutine at a
// time: Begin once, Event for each event, End once. An Event is the sink's only
// until the call returns.
type Sink interface {
	Begin(*Header) error
	Event(*Event) error
	End(*Trailer) error
}

// A SinkFunc is a Sink that calls a function for each event and ignores the header and
// the trailer.
type SinkFunc func(*Event) error

// Begin returns nil.
func (SinkFunc) Begin(*Header) error { return nil }

// Event calls f.
func (f SinkFunc) Event(e *Event) error { return f(e) }

// End returns nil.
func (SinkFunc) End(*Trailer) error { return nil }
