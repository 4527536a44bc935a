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

// A Cmd is a command to run and trace. Use it like [os/exec.Cmd]: set the fields, then
// call Run, or Start and Wait. The fields must not be changed after Start. A Cmd can be
// started once. Its methods may be called concurrently.
type Cmd struct {
	// Path is the path of the program. A name without a slash is looked up in the PATH of
	// Env.
	Path string
	// Args are the arguments. Args[0] is the name by which the command is called.
	Args []string
	// Env is the environment, as "key=value"; nil means the environment of this process.
	Env []string
	// Dir is the working directory; "" means the working directory of this process.
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
	// InheritFiles passes on each descriptor of this process that is not close-on-exec,
	// with the same number, as execve(2) does. The five fields above must not be set.
	InheritFiles bool
	// WaitDelay is how long Wait waits after the end of the session until the pipes of
	// Stdin, Stdout and Stderr are closed: a descendant that outlives the session may
	// hold them open. Then Wait closes them and returns [os/exec.ErrWaitDelay]. 0 means
	// no limit.
	WaitDelay time.Duration

	// Umask is the file mode creation mask; nil means the mask of this process.
	Umask *int
	// Limits are resource limits and Nice is the nice value that the command starts with.
	// Limits that are not listed, and a nil Nice, are those of this process.
	Limits []Limit
	Nice   *int
	// Setsid makes the command the leader of a new terminal session and process group,
	// without a controlling terminal: setsid(2). The command then starts with no signal
	// blocked or ignored.
	Setsid bool
	// Adopt, if set, is the process that becomes the command. It is the child of another
	// program and inherits everything from that. Dir must be the working directory of
	// that program. Of the fields above, only Path, Args and Env are used as well.
	Adopt *Launch

	// Lifecycle says how processes are followed, IOUring how calls of io_uring are
	// answered, and Recorder whether processes may record their own calls.
	Lifecycle Lifecycle
	IOUring   IOUringPolicy
	Recorder  RecorderPolicy
	// WaitFor says when the session ends.
	WaitFor WaitPolicy
	// Timeout, if not 0, limits the session: after Timeout all its processes get SIGTERM,
	// and after KillAfter more those that are left get SIGKILL. The session then ends
	// with the last process, whatever WaitFor is.
	Timeout, KillAfter time.Duration
	// Sink receives the record. Required.
	Sink events.Sink
	// Guard, if set, is called before a system call that may modify, replace or remove a
	// regular file or a symbolic link, or change its times. It is called with the path
	// and what is there now. If the call may create something, info is not Known. For a
	// file that is removed or renamed, Guard is called whatever its type.
	//
	// op is events.OpWrite if the call opens the file for writing, events.OpDelete if it
	// removes it, events.OpRename if it renames it, events.OpCreate if it renames
	// something to that path, events.OpList if it is about to list a directory, and
	// another operation otherwise.
	//
	// The caller waits until Guard returns, and in the first 20 ms so does every other
	// process that makes a file call. After that Guard is called for others concurrently.
	// Guard must return even if a file system does not answer: see Served.
	Guard func(op events.Op, path string, info events.FileInfo)
	// OnStop, if set, is called when a job control signal has stopped the command. It
	// must return soon and must not wait for the command: a traced command is not
	// continued before OnStop returns. OnStop may stop this process
	// (jobcontrol.StopWith).
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

// CommandContext is like [Command] but includes a context. If the context is done before
// the session has ended, all processes of the session are ended as by [Cmd.Cancel] with
// KillAfter, and Wait returns the error of the context.
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
	// Ending says whether the timeout, or Cancel, ended the command.
	Ending Ending
	// Usage is the resource usage of the command and of the descendants that it has
	// waited for: wait4(2). It includes some milliseconds before the exec. It is nil if
	// it is not known, because ptrace did not follow the command or it had very many
	// threads.
	Usage *unix.Rusage
	// Calls counts the system calls of the record by how fstrace learned of them.
	Calls Calls
	// Incomplete has the reasons why the record is incomplete; empty if it is complete.
	Incomplete []events.Incomplete
	// Err says why the record is cut off, for example an error of the sink; nil if it has
	// its trailer.
	Err error
}

// Calls counts system calls.
type Calls struct {
	// Notified calls waited for an answer of this process. Recorded calls were recorded
	// by the calling process itself (Cmd.Recorder), of which there were Recorders.
	Notified, Recorded uint64
	Recorders          int
}

// Success reports whether the command exited with status 0.
func (r *Result) Success() bool { return r.Status.Exited() && r.Status.ExitStatus() == 0 }

// An ExitError reports that the command ran and did not exit with status 0. The record is
// not cut off.
type ExitError struct{ *Result }

func (e *ExitError) Error() string {
	if e.Status.Signaled() {
		return "signal: " + e.Status.Signal().String()
	}
	return "exit status " + strconv.Itoa(e.Status.ExitStatus())
}

// Run starts the command and waits until the session has ended. It returns the error of
// [Cmd.Start] or of [Cmd.Wait].
func (c *Cmd) Run() error {
	if err := c.Start(); err != nil {
		return err
	}
	return c.Wait()
}

// Start starts the command and returns when the kernel has executed it. The sink has
// received the header of the record by then. If Start returns nil, [Cmd.Wait] must be
// called to release resources.
//
// If the command cannot be executed, the error is an [*ExecError]. The session has ended
// then, and the sink has received the whole record, which has the paths where the command
// was looked up. After any other error nothing has been run, and the sink has received
// nothing, or a record without a trailer.
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

// Observe sets Sink and Guard. It is for packages that use a Cmd through an interface,
// such as events/manifest.
func (c *Cmd) Observe(sink events.Sink, guard func(events.Op, string, events.FileInfo)) {
	c.Sink, c.Guard = sink, guard
}

// current returns the session, nil before Start.
func (c *Cmd) current() *session {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.session
}

// Pid returns the process id of the command, or 0 before [Cmd.Start] has returned.
func (c *Cmd) Pid() int {
	if s := c.current(); s != nil && s.root != nil {
		return s.root.pid
	}
	return 0
}

// Signal sends a signal to the command. It uses a pidfd, so that no other process with
// the same number can get the signal. A signal that is sent before the process exists is
// delivered when it does. Signal returns [os.ErrProcessDone] if the command has ended.
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

// SignalGroup is like [Cmd.Signal] for the process group of the command, if the command
// leads it (Setsid). Before Linux 6.9, only the command gets the signal.
func (c *Cmd) SignalGroup(sig unix.Signal) error {
	s := c.current()
	if s == nil {
		return c.Signal(sig)
	}
	return s.owner.signalGroup(sig)
}

// Cancel ends the session as if its timeout had expired: all processes get SIGTERM, and
// after grace those that are left get SIGKILL. It does not wait for that.
func (c *Cmd) Cancel(grace time.Duration) {
	if s := c.current(); s != nil {
		s.owner.mail.send(msgCancel{grace})
	}
}

// Served reports whether a path is on a file system that a process of the session may
// serve, or that has been slow to answer. A sink or a guard that looks at such a path
// needs a timeout.
func (c *Cmd) Served(path string) bool {
	s := c.current()
	return s != nil && s.served.Has(path)
}

// Wait waits until the session has ended, the sink has received the whole record, and the
// pipes of Stdin, Stdout and Stderr are copied.
//
// The error is nil if the command exited with status 0, and an [*ExitError] if it did
// not. Any other error is the error of the context, or says why the record or a pipe is
// cut off. Wait may also be called after Start has returned an [*ExecError].
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

// Result returns how the command ended, or nil before the end of the session.
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
