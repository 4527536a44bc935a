package tracer

import (
	"errors"
	"os"
	"sync"
	"time"

	"github.com/fstrace/fstrace/events"
	"golang.org/x/sys/unix"
)

// An IOUringPolicy says what becomes of io_uring, whose requests pass no filter.
type IOUringPolicy uint8

// Policies for io_uring.
const (
	// IOUringDeny answers ENOSYS, as kernels without io_uring do: programs fall back.
	IOUringDeny IOUringPolicy = iota
	// IOUringAllow lets it be; the record is incomplete once a ring is set up.
	IOUringAllow
)

// A Lifecycle says how processes are followed.
type Lifecycle uint8

// Ways to follow processes.
const (
	// LifecyclePtrace follows each process and thread by ptrace(2).
	LifecyclePtrace Lifecycle = iota
	// LifecycleNotify knows processes by their calls, pidfds and /proc alone: for
	// commands that cannot be traced, and a little faster. A process that makes no
	// file call is not seen; the command does not die with the supervisor.
	LifecycleNotify
)

// A WaitPolicy says when a session ends.
type WaitPolicy uint8

// When a session ends.
const (
	// WaitRoot ends it with the command itself. Descendants that still run then go
	// on undisturbed; they are named, and the record is incomplete.
	WaitRoot WaitPolicy = iota
	// WaitAll ends it with the last descendant.
	WaitAll
)

// A Cmd is a command to be run and traced, in the manner of os/exec. Its fields
// must not be changed after Start. It can be started once.
type Cmd struct {
	// Path is the program's file, looked up in the PATH of Env if it has no slash.
	Path string
	// Args are the command's arguments, the name it is called by first.
	Args []string
	// Env is its environment, as "key=value"; nil stands for this process's.
	Env []string
	// Dir is its working directory; "" stands for this process's.
	Dir string

	// Stdin, Stdout and Stderr are its first descriptors; nil stands for /dev/null.
	// ExtraFiles[i] becomes descriptor 3+i.
	Stdin, Stdout, Stderr *os.File
	ExtraFiles            []*os.File
	// Descriptors, if not nil, are used instead of the four fields above: descriptors
	// of this process, by their number in the command. Others are closed there, but 0, 1
	// and 2, which are /dev/null then.
	Descriptors map[int]int
	// InheritFiles gives it each descriptor of this process that is not
	// close-on-exec, under its own number, as execve(2) does; the four fields
	// above are not used.
	InheritFiles bool

	// Umask is its file mode creation mask; nil stands for this process's.
	Umask *int
	// Limits are the resource limits that it starts with, and Nice its nice value: those
	// that are not given, nil, are this process's.
	Limits []Limit
	Nice   *int
	// Apart starts it apart from this process: in a session of its own, without a
	// controlling terminal, as the leader of its own process group, and with no signal
	// blocked or ignored.
	Apart bool
	// Adopt, if set, is the process that is to become the command: another program's
	// child, which has all that it inherits from there. Dir must be that program's
	// directory; of the fields above only Path, Args and Env are used beside it.
	Adopt *Launch

	Lifecycle Lifecycle
	IOUring   IOUringPolicy
	Wait      WaitPolicy
	// Timeout, if not 0, is how long the session may last before every process of it
	// gets SIGTERM; those that are left KillAfter later get SIGKILL. The session then
	// ends with the last of them, whatever Wait says.
	Timeout, KillAfter time.Duration
	// Sink receives the record. Required.
	Sink events.Sink
	// Guard, if set, is called before a call is let through that may change what is
	// in an existing regular file or its times, or a symbolic link, put another in its
	// place, or remove it: by path and with what is there. It is also called for a file
	// that the call may make, with an info that is not Known. The caller is held
	// meanwhile, and for the first 20 ms so is every other that makes a file call. It must
	// return in the end, whatever a file system does that it looks at: see Served. While it
	// takes longer it is called for other calls: it must be safe for concurrent use.
	//
	// op is events.OpWrite if the call opens the file for writing, events.OpDelete if it
	// removes it, events.OpRename if it renames it, events.OpCreate if it renames something to
	// that path, and another if it changes the file in another way. Of what is removed or
	// renamed it is called whatever is there, directories included.
	Guard func(op events.Op, path string, info events.FileInfo)
	// Stopped, if set, is called when the command itself is stopped by a job
	// control signal. It must return soon, and not wait for the command, which is not
	// continued meanwhile if it is traced. It may stop this process: StopWith.
	Stopped func(sig unix.Signal)

	// Ready, if set, holds the command's process back until it is closed: for what
	// must be there before, and can be prepared while Start prepares the rest.
	Ready <-chan struct{}

	mu      sync.Mutex
	session *session
	early   []unix.Signal // sent before there was a session
	opened  []*os.File    // for the command, closed once it has them
}

// Command returns a Cmd to run name with the given arguments.
func Command(name string, arg ...string) *Cmd {
	return &Cmd{Path: name, Args: append([]string{name}, arg...)}
}

// A Result is how a traced command ended.
type Result struct {
	Exit events.Exit
	// Status is the command's wait status: wait(2).
	Status unix.WaitStatus
	// Ending says what the timeout had to do with it.
	Ending Ending
	// Usage is what the command has used, together with those of its descendants that it
	// has waited for: wait4(2). It counts from the start of the process, which was another
	// program for some milliseconds. Nil if it is not known: the command was not traced, or
	// had very many threads at its end.
	Usage *unix.Rusage
	// Incomplete says what the record may miss; empty if it is complete.
	Incomplete []events.Incomplete
}

// Start starts the command and returns when it has been executed. The sink has
// received the record's header by then.
//
// If the command cannot be executed Start returns an *ExecError; the session is
// over then, and the sink has the whole record, which tells where the command was
// looked for. After any other error nothing has been run, and the sink has
// received nothing or no end.
func (c *Cmd) Start() error {
	if c.current() != nil {
		return errors.New("tracer: already started")
	}
	if c.Sink == nil {
		return errors.New("tracer: no sink")
	}
	if len(c.Args) == 0 {
		return errors.New("tracer: no arguments: not even a name")
	}
	if c.Env == nil {
		c.Env = os.Environ()
	}
	s, err := newSession(c)
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.session = s
	for _, sig := range c.early {
		_ = s.owner.signal(sig) // kept until there is a process
	}
	c.mu.Unlock()
	return s.start()
}

// current returns the session, nil before Start.
func (c *Cmd) current() *session {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.session
}

// Pid returns the command's process id, once Start has returned.
func (c *Cmd) Pid() int {
	if s := c.current(); s != nil && s.root != nil {
		return s.root.pid
	}
	return 0
}

// Signal sends a signal to the command itself, by pidfd: never to another process
// that has got its number. Before there is a process it is kept for it. It returns
// os.ErrProcessDone when the command has ended.
func (c *Cmd) Signal(sig unix.Signal) error {
	c.mu.Lock()
	s := c.session
	if s == nil {
		c.early = append(c.early, sig)
	}
	c.mu.Unlock()
	if s == nil {
		return nil
	}
	return s.owner.signal(sig)
}

// SignalGroup is Signal for the command's process group, if the command was started
// as its leader (Apart). Before Linux 6.9 the command alone gets it.
func (c *Cmd) SignalGroup(sig unix.Signal) error {
	s := c.current()
	if s == nil {
		return c.Signal(sig)
	}
	return s.owner.signalGroup(sig)
}

// Cancel has the session end: every process of it gets SIGTERM, and those that are
// left after the grace get SIGKILL, as if its timeout had come now. It does not wait.
func (c *Cmd) Cancel(grace time.Duration) {
	if s := c.current(); s != nil {
		s.owner.mail.send(msgCancel{grace})
	}
}

// Served reports whether a path is on a file system that may be served from inside the
// session, or that has been slow to answer. A sink or a guard that looks at such a path must
// not wait for the answer for ever. It is safe for concurrent use.
func (c *Cmd) Served(path string) bool {
	s := c.current()
	return s != nil && s.served.servedAt(path)
}

// Await waits for the session's end, and for the sink to have the whole record.
// The error is the sink's, or says why notifications were lost; the Result is
// there all the same.
func (c *Cmd) Await() (*Result, error) {
	s := c.current()
	if s == nil {
		return nil, errors.New("tracer: not started")
	}
	<-s.done
	return &s.result, s.err
}
