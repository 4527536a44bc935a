package tracer

import (
	"errors"
	"fmt"
	"time"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/seccomp"
	"github.com/fstrace/fstrace/tracer/internal/failpoint"
	"github.com/fstrace/fstrace/tracer/internal/observe"
	"github.com/fstrace/fstrace/tracer/internal/procfs"
	"github.com/fstrace/fstrace/tracer/internal/resolve"
	"github.com/fstrace/fstrace/tracer/internal/shim"
	"github.com/fstrace/fstrace/tracer/internal/syscalls"
	"github.com/google/uuid"
	"golang.org/x/sys/unix"
)

// A session is one traced command, from its launch to the end of its record.
//
// Five threads of control, each with what it alone may touch:
//
//   - start, the caller's: the launch, in order;
//   - the owner: which processes live, their pidfds, timeouts;
//   - the tracer thread: ptrace and wait4, the follower's tree;
//   - the receiver's thread: notifications, reading the callers;
//   - the consumer: makes events of what the two have queued, and feeds the sink.
type session struct {
	cmd        *Cmd
	header     events.Header
	index      *syscalls.Index
	registry   *registry
	queue      *queue
	incomplete *incompleteness

	keeper   *keeper
	listener *seccomp.Listener
	receiver *receiver
	served   resolve.ServedPaths
	control  int // the supervisor's end of the shim's socket

	owner    *owner
	requests *ptraceRequests
	blocked  *blockedCalls
	root     *process // set when the shim has been started
	inners   *inners  // inside of this session; nil if this one has no listener
	outer    *outer   // this one is inside of its session, and served by it; nil for none

	traced   chan traceEnd // the tracer thread has ended
	received chan struct{} // the receiver has
	consumed chan error    // the consumer has; the sink's first error
	counts   events.Counts

	done   chan struct{}
	result Result
	err    error
}

// traceEnd is what the tracer thread leaves behind.
type traceEnd struct {
	status   unix.WaitStatus // of the command
	usage    *unix.Rusage    // of the command, nil if it is not known
	released []*process      // descendants that were let go
	stuck    []*process      // those among them that could not be detached
	err      error
}

func newSession(c *Cmd) (*session, error) {
	if err := CheckProc(); err != nil {
		return nil, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, fmt.Errorf("make a session id: %w", err)
	}
	s := &session{
		cmd: c, registry: newRegistry(), queue: newQueue(), incomplete: new(incompleteness), requests: new(ptraceRequests), blocked: new(blockedCalls),
		control: -1,
		traced:  make(chan traceEnd, 1), received: make(chan struct{}), consumed: make(chan error, 1),
		done: make(chan struct{}),
	}
	s.owner = newOwner(s.untracedEnded, c.Timeout, c.KillAfter)
	s.header = events.Header{Session: id.String(), Argv: c.Args, Cwd: c.Dir}
	if s.header.Cwd == "" {
		if s.header.Cwd, err = unix.Getwd(); err != nil {
			s.header.Cwd = procfs.ReadLink(unix.Getpid(), "cwd") // removed: as the kernel names it
		}
	}
	return s, nil
}

// start launches the command. What it has begun is undone if it fails.
func (s *session) start() (err error) {
	l, err := s.startShim()
	if err != nil {
		return err
	}
	defer unix.Close(s.control)
	return s.launch(l)
}

// startShim starts the tracer thread and the shim as its child, and sends the
// shim what to run.
func (s *session) startShim() (*launcher, error) {
	l := newLauncher(s)
	if err := s.fork(l); err != nil {
		if s.control >= 0 {
			unix.Close(s.control)
		}
		s.owner.close()
		return nil, err
	}
	// While the shim comes up.
	var err error
	var filter []byte
	if s.index, err = syscalls.NewIndex(); err == nil {
		filter, err = s.index.Filter()
	}
	if err != nil {
		return nil, s.abandon(l, err)
	}
	m := shim.Launch{
		Path: s.executable(), Dir: s.cmd.Dir, Argv: s.cmd.Args, Env: s.cmd.Env,
		Filter: filter, Signals: shim.Inherited(), Umask: -1, Apart: s.cmd.Setsid,
	}
	if s.cmd.Umask != nil {
		m.Umask = int32(*s.cmd.Umask)
	}
	if s.cmd.Setsid {
		m.Signals = shim.Signals{}
	}
	if a := s.cmd.Adopt; a != nil {
		m.Dir, m.Apart, m.Umask = "", false, -1
		m.Signals, m.Tracer = shim.Signals{Mask: a.Mask, Ignored: a.Ignored}, uint32(unix.Getpid())
	}
	failpoint.At("before-filter")
	// The next step notices a shim that is gone.
	if err := shim.WriteFull(s.control, m.Encode()); err != nil && !errors.Is(err, unix.EPIPE) {
		return nil, s.abandon(l, fmt.Errorf("launch: send the command: %w", err))
	}
	return l, nil
}

// executable returns the command's path, as its process finds it. /proc/self/exe stands for the
// program that starts the command, as in os/exec; in the command's process it may be the shim.
func (s *session) executable() string {
	const self = "/proc/self/exe"
	if s.cmd.Path == self && (s.cmd.Adopt != nil || !shim.SignalsKept()) {
		return fmt.Sprintf("/proc/%d/exe", s.root.ppid)
	}
	return s.cmd.Path
}

// fork starts the tracer thread, which starts the shim as its child, or takes over
// one that is there.
func (s *session) fork(l *launcher) (err error) {
	var files []uintptr
	if a := s.cmd.Adopt; a != nil {
		if s.control, err = a.socket(); err != nil {
			return err
		}
	} else {
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("launch: socketpair: %w", err)
		}
		defer unix.Close(pair[1])
		s.control = pair[0]
		files, err = s.cmd.descriptors(pair[1])
		if err != nil {
			return err
		}
	}
	if s.cmd.StartAfter != nil {
		<-s.cmd.StartAfter
	}
	tracerThread(func() { l.run(files) })
	return <-l.forked
}

// launch sees the shim through to its exec.
func (s *session) launch(l *launcher) error {
	fd, err := s.receiveListener()
	switch {
	case errors.Is(err, seccomp.ErrNested):
		if err := s.join(); err != nil {
			s.beginBlind(err)
		}
	case err != nil:
		return s.abandon(l, err)
	default:
		if err := s.beginReceiving(fd); err != nil {
			unix.Close(fd)
			return s.abandon(l, err)
		}
	}
	if err := s.cmd.limit(s.root.pid); err != nil {
		err = s.abandon(l, err)
		s.stopReceiving()
		return err
	}
	begun := startEvent(s.root, s.header.Cwd) // while nobody else looks at the root
	failpoint.At("before-seize")
	var inherited []observe.Access
	// Not before: until the shim has been executed it has files of this process's open.
	err = l.seize(func() { s.header.Process, inherited = s.startState(s.root.pid) })
	if err != nil {
		err = cannotFollow(err)
	} else if s.keeper != nil && !l.traced { // it will outlive us, whatever becomes of us
		err = s.keeper.need()
	}
	if err != nil {
		err = s.abandon(l, err)
		s.stopReceiving()
		return err
	}
	if err := s.cmd.Sink.Begin(&s.header); err != nil {
		s.err = fmt.Errorf("begin record: %w", err) // the rest is dropped; the command must not suffer
	}
	s.owner.mail.send(msgReady{})
	s.queue.process(s.root, begun)
	for _, a := range inherited {
		if s.cmd.Guard != nil {
			a.Guarded(s.cmd.Guard)
		}
		e := &entry{access: a}
		s.queue.reserve(e)
		s.queue.settle(e, false)
	}
	go s.consume()
	go s.finish()
	failpoint.At("before-exec")
	if err := shim.WriteFull(s.control, []byte{shim.GoAhead}); err != nil && !errors.Is(err, unix.EPIPE) {
		_ = s.owner.signal(unix.SIGKILL)
	}
	if s.keeper != nil {
		s.keeper.startLater()
	}
	return s.awaitExec()
}

// receiveListener waits for the shim to have installed the filter.
func (s *session) receiveListener() (int, error) {
	var b [1]byte
	n, fds, err := receiveDescriptors(s.control, b[:])
	switch {
	case err != nil:
		return -1, fmt.Errorf("launch: receive the listener: %w", err)
	case n == 0:
		return -1, shim.ErrPeerGone
	case b[0] == shim.ReplyListener && len(fds) == 1 && isListener(fds[0]):
		return fds[0], nil
	}
	for _, fd := range fds {
		unix.Close(fd)
	}
	switch {
	case b[0] == shim.ReplyNested:
		return -1, seccomp.ErrNested
	case b[0] == shim.ReplyFailure:
		f, err := s.readFailure()
		if err != nil {
			return -1, err
		}
		return -1, explain(f)
	}
	return -1, fmt.Errorf("launch: unexpected reply %q", b[0])
}

// readFailure reads what follows shim.ReplyFailure.
func (s *session) readFailure() (*shim.Failure, error) {
	b, err := shim.ReadMessage(s.control)
	if err != nil {
		return nil, fmt.Errorf("launch: read the shim's error: %w", err)
	}
	return shim.DecodeFailure(b)
}

// explain makes an error of what the shim reports before the exec.
func explain(f *shim.Failure) error {
	switch {
	case f.Step == shim.StepFilter && (f.Errno == unix.EINVAL || f.Errno == unix.ENOSYS):
		return fmt.Errorf("%s: %w: this kernel has no user-notify filters (Linux 5.9 and later have them)", f.Step, f.Errno)
	}
	return fmt.Errorf("%s: %w", f.Step, f.Errno)
}

// beginBlind begins a session below another listener: the kernel allows one, so
// file accesses are seen by the outer one alone, and processes are all that can be
// followed here, if that one does not serve this one.
func (s *session) beginBlind(cause error) {
	s.incomplete.add(events.ReasonNested, 0, cause.Error())
	close(s.received)
}

// beginReceiving starts the receiver.
func (s *session) beginReceiving(fd int) error {
	l, err := seccomp.NewListener(fd)
	if err != nil {
		return err
	}
	c, err := observe.NewShared(s.registry, s.incomplete.add, &s.served)
	if err != nil {
		return err
	}
	if s.keeper, err = newKeeper(fd); err != nil {
		return err
	}
	s.listener, s.inners = l, newInners(s)
	s.incomplete.also, s.served.Changed = s.inners.miss, s.inners.setMounts
	s.receiver = &receiver{
		inners:   s.inners,
		listener: l, index: s.index, common: c, registry: s.registry, owner: s.owner, queue: s.queue, requests: s.requests, blocked: s.blocked, incomplete: s.incomplete,
		ioUring: s.cmd.IOUring, guard: s.cmd.Guard, keeper: s.keeper,
	}
	go func() {
		defer close(s.received)
		s.receiver.run()
	}()
	return nil
}

func (s *session) stopReceiving() {
	if s.listener == nil {
		return
	}
	if s.listener.SyncWakeUp() { // older kernels leave the receiver asleep at the end
		<-s.received // the shim is dead: nobody has the filter
	}
	_ = s.listener.Close()
}

// abandon ends a launch that failed before the command could run. If the shim was
// killed by a signal, as the command would have been, that is how the session
// ends, and no error.
func (s *session) abandon(l *launcher, cause error) error {
	ws, killed := l.reap(errors.Is(cause, shim.ErrPeerGone))
	if s.keeper != nil {
		s.keeper.dismiss()
	}
	s.outer.close()
	ending := ask(s.owner, func(r chan<- Ending) message { return msgEnding{r} })
	s.owner.close()
	if ws.Signaled() && !killed {
		s.endEarly(ws, ending)
		return nil
	}
	if errors.Is(cause, shim.ErrPeerGone) {
		return fmt.Errorf("launch: the helper process ended with %+v", exitOf(ws))
	}
	return &LaunchError{cause}
}

// endEarly makes the record of a command that a signal ended before it began.
func (s *session) endEarly(ws unix.WaitStatus, ending Ending) {
	s.result = Result{Exit: exitOf(ws), Status: ws, Ending: ending}
	s.err = s.cmd.Sink.Begin(&s.header)
	if s.err == nil {
		s.err = s.cmd.Sink.End(&events.Trailer{End: time.Now(), Exit: s.result.Exit})
	}
	s.result.Err = s.err
	close(s.done)
}

// awaitExec waits until the shim's end of the socket is closed by its exec, or
// until it says why there is none.
func (s *session) awaitExec() error {
	var b [1]byte
	if err := shim.ReadFull(s.control, b[:]); err != nil || b[0] != shim.ReplyFailure {
		return nil // executed, or killed: the session tells
	}
	f, err := s.readFailure()
	switch {
	case err != nil:
	case f.Step != shim.StepExec:
		err = explain(f)
	default:
		e := newExecError(s.cmd, f.Errno)
		err = e
		// What it is to exit with; a shim that is gone has ended already.
		_ = shim.WriteFull(s.control, []byte{byte(e.ExitStatus())})
	}
	<-s.done
	return err
}
