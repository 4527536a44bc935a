package tracer

import (
	"context"
	"errors"
	"io"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/fstrace/fstrace/events"
	"golang.org/x/sys/unix"
)

// A Cmd is a command to run and trace. It is used as [os/exec.Cmd] is: set the
// fields, then call Run, or Start and Wait. The fields must not be changed after
// Start. A Cmd can be started once. Its methods are safe for concurrent use.
type Cmd struct {
	// Path is the program's file, looked up in the PATH of Env if it has no slash.
	Path string
	// Args are the command's arguments, the name it is called by first.
	Args []string
	// Env is its environment, as "key=value"; nil stands for this process's.
	Env []string
	// Dir is its working directory; "" stands for this process's.
	Dir string

	// Stdin is the command's standard input, Stdout and Stderr are its standard output
	// and error. Nil means /dev/null. The command gets the descriptor of an *os.File
	// itself. For any other reader or writer, Start makes a pipe and a goroutine that
	// copies, and Wait waits until the copying is done: see WaitDelay. If Stdout and
	// Stderr are the same writer, at most one goroutine at a time calls Write.
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// ExtraFiles[i] becomes descriptor 3+i; nil leaves that number closed.
	ExtraFiles []*os.File
	// Descriptors, if not nil, replaces the four fields above. It maps numbers in the
	// command to descriptors of this process. Other numbers are closed in the command,
	// but 0, 1 and 2 are /dev/null if they are not given.
	Descriptors map[int]int
	// InheritFiles passes on each descriptor of this process that is not
	// close-on-exec, under its own number, as execve(2) does. The five fields
	// above must not be set.
	InheritFiles bool
	// WaitDelay is how long Wait waits, after the session's end, for the copying from
	// and to the command's pipes: a descendant that outlives the session may hold them
	// open. Wait then closes the pipes and returns [os/exec.ErrWaitDelay]. 0 means no
	// limit.
	WaitDelay time.Duration

	// Umask is its file mode creation mask; nil stands for this process's.
	Umask *int
	// Limits are the resource limits that it starts with, and Nice its nice value: those
	// that are not given, nil, are this process's.
	Limits []Limit
	Nice   *int
	// Setsid makes the command the leader of a session and of a process group of its
	// own, without a controlling terminal: setsid(2). It then also starts with no signal
	// blocked or ignored.
	Setsid bool
	// Adopt, if set, is the process that is to become the command: another program's
	// child, which has all that it inherits from there. Dir must be that program's
	// directory; of the fields above only Path, Args and Env are used beside it.
	Adopt *Launch

	Lifecycle Lifecycle
	IOUring   IOUringPolicy
	Recorder  RecorderPolicy
	// WaitFor says when the session ends.
	WaitFor WaitPolicy
	// Timeout, if not 0, is how long the session may last before each of its processes
	// gets SIGTERM. Those that are left after KillAfter get SIGKILL. The session then
	// ends with the last of them, whatever WaitFor says.
	Timeout, KillAfter time.Duration
	// Sink receives the record. Required.
	Sink events.Sink
	// Guard, if set, is called before a system call continues that may modify, replace or
	// remove an existing regular file or a symbolic link, or change its times. It gets the
	// path and what is there now. It is also called for whatever the call may make, with
	// an info that is not Known. The caller waits meanwhile, and for the first 20 ms so does
	// every other process that makes a file call. Guard must return even if a file system
	// does not answer: see Served. It must be safe for concurrent use: while one call takes
	// longer than 20 ms, Guard is called for others.
	//
	// op is events.OpWrite if the call opens the file for writing, events.OpDelete if it
	// removes it, events.OpRename if it renames it, events.OpCreate if it renames something
	// to that path, and another operation if it changes the file, or makes something, in
	// another way. For a file that is removed or renamed, Guard is called whatever its type,
	// directories included. It is called with events.OpList for a directory that is about to
	// be listed.
	Guard func(op events.Op, path string, info events.FileInfo)
	// OnStop, if set, is called when a job control signal has stopped the command
	// itself. It must return soon, and must not wait for the command, which is not
	// continued meanwhile if it is traced. It may stop this process: StopWith.
	OnStop func(sig unix.Signal)

	// Spare, if set, starts the process of the next command ahead of need.
	Spare *Spare
	// StartAfter, if set, delays the command's process until the channel is closed.
	// Start prepares the rest meanwhile.
	StartAfter <-chan struct{}

	ctx     context.Context // nil for none
	streams streams

	mu      sync.Mutex
	session *session
	early   []unix.Signal // sent before there was a session
}

// Command returns a Cmd to run name with the given arguments. A name without a slash
// is looked up in the PATH of the command's environment when it is executed.
func Command(name string, arg ...string) *Cmd {
	return &Cmd{Path: name, Args: append([]string{name}, arg...)}
}

// CommandContext is Command with a context. When the context is done before the
// session has ended, the session's processes are ended as Cancel does, with KillAfter
// as the grace, and Wait returns the context's error.
func CommandContext(ctx context.Context, name string, arg ...string) *Cmd {
	if ctx == nil {
		panic("tracer: nil Context")
	}
	c := Command(name, arg...)
	c.ctx = ctx
	return c
}

// A Result is how a traced command ended.
type Result struct {
	// Exit is the exit status or the signal, as the record has it.
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
	// Calls says how the calls of the record have become known.
	Calls Calls
	// Incomplete says what the record may miss; empty if it is complete.
	Incomplete []events.Incomplete
	// Err says why the record is cut off; nil if it is whole.
	Err error
}

// Calls are numbers of system calls.
type Calls struct {
	// Notified are those that have waited for this process, Recorded those that processes have
	// recorded themselves (Cmd.Recorder), Recorders how many did.
	Notified, Recorded uint64
	Recorders          int
}

// Success reports whether the command exited with status 0.
func (r *Result) Success() bool { return r.Status.Exited() && r.Status.ExitStatus() == 0 }

// An ExitError says that the command has run and did not exit with status 0. The
// record is whole.
type ExitError struct{ *Result }

func (e *ExitError) Error() string {
	if e.Status.Signaled() {
		return "signal: " + e.Status.Signal().String()
	}
	return "exit status " + strconv.Itoa(e.Status.ExitStatus())
}

// Run starts the command and waits until the session has ended. It returns the
// errors of Start and Wait.
func (c *Cmd) Run() error {
	if err := c.Start(); err != nil {
		return err
	}
	return c.Wait()
}

// Start starts the command and returns when it has been executed. The sink has
// received the record's header by then. If Start returns nil, Wait must be called.
//
// If the command cannot be executed, Start returns an [*ExecError]. The session is
// over then, and the sink has the whole record, which says where the command was
// looked for. After any other error nothing has been run, and the sink has
// received nothing or no end.
func (c *Cmd) Start() error {
	if err := c.valid(); err != nil {
		return err
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
	err = s.start()
	c.streams.started(err == nil)
	if err == nil && c.ctx != nil {
		context.AfterFunc(c.ctx, func() { c.Cancel(c.KillAfter) })
	}
	return err
}

// valid returns what is wrong with the fields.
func (c *Cmd) valid() error {
	switch {
	case c.current() != nil:
		return errors.New("tracer: already started")
	case c.Sink == nil:
		return errors.New("tracer: no sink")
	case len(c.Args) == 0:
		return errors.New("tracer: no arguments: not even a name")
	case c.ctx != nil:
		return c.ctx.Err()
	}
	return nil
}

// Observe sets Sink and Guard. It is for packages that know a Cmd by an interface, as
// events/manifest does.
func (c *Cmd) Observe(sink events.Sink, guard func(events.Op, string, events.FileInfo)) {
	c.Sink, c.Guard = sink, guard
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
	return s != nil && s.served.Has(path)
}

// Wait waits for the session to end, for the sink to have the whole record, and for
// the copying from and to the command's pipes.
//
// The error is nil if the record is whole and the command exited with status 0. It is
// an [*ExitError] if the record is whole and the command did not. Any other error says
// why the record or a pipe is cut off, or is the context's. A command that Start could
// not execute can be waited for too: the record says where it was looked for.
func (c *Cmd) Wait() error {
	s := c.current()
	if s == nil {
		return errors.New("tracer: not started")
	}
	<-s.done
	copied := c.streams.wait(c.WaitDelay)
	result := &s.result
	switch {
	case result.Err != nil:
		return result.Err
	case result.Ending != EndedByItself && c.ctx != nil && c.ctx.Err() != nil:
		return c.ctx.Err()
	case !result.Success():
		return &ExitError{result}
	}
	return copied
}

// Result returns how the command ended, nil before the session's end.
func (c *Cmd) Result() *Result {
	s := c.current()
	if s == nil {
		return nil
	}
	select {
	case <-s.done:
		return &s.result
	default:
		return nil
	}
}
