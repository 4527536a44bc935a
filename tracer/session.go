package tracer

import (
	"errors"
	"fmt"
	"time"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/seccomp"
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
	cmd      *Cmd
	header   events.Header
	index    *index
	registry *registry
	queue    *queue
	gaps     *gaps

	keeper   *keeper
	listener *seccomp.Listener
	receiver *receiver
	control  int // the supervisor's end of the shim's socket

	owner    *owner
	wishes   *wishes
	sleepers *sleepers
	root     *process // set when the shim has been started

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
	released []*process      // descendants that were let go
	err      error
}

func newSession(c *Cmd) (*session, error) {
	x, err := syscallIndex()
	if err != nil {
		return nil, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, fmt.Errorf("make a session id: %w", err)
	}
	s := &session{
		cmd: c, index: x, registry: newRegistry(), queue: newQueue(), gaps: new(gaps), wishes: new(wishes), sleepers: new(sleepers),
		control: -1,
		traced:  make(chan traceEnd, 1), received: make(chan struct{}), consumed: make(chan error, 1),
		done: make(chan struct{}),
	}
	if s.owner, err = newOwner(s.strangerEnded, c.Timeout, c.KillAfter); err != nil {
		return nil, err
	}
	s.header = events.Header{Session: id.String(), Argv: c.Args, Cwd: c.Dir}
	if s.header.Cwd == "" {
		if s.header.Cwd, err = unix.Getwd(); err != nil {
			s.header.Cwd = readLink(unix.Getpid(), "cwd") // removed: as the kernel names it
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
	if s.keeper, err = startKeeper(); err != nil { // while the shim comes up
		return s.abandon(l, err)
	}
	return s.launch(l)
}

// startShim starts the tracer thread and the shim as its child, and sends the
// shim what to run.
func (s *session) startShim() (*launcher, error) {
	filter, err := s.index.filter()
	if err != nil {
		return nil, err
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("launch: socketpair: %w", err)
	}
	s.control = pair[0]
	l := newLauncher(s)
	files, err := s.cmd.descriptors(pair[1])
	if err == nil {
		tracerThread(func() { l.run(files) })
		err = <-l.forked
	}
	unix.Close(pair[1])
	s.cmd.closeOpened()
	if err != nil {
		unix.Close(s.control)
		s.owner.close()
		return nil, err
	}
	m := launch{
		path: s.cmd.Path, dir: s.cmd.Dir, argv: s.cmd.Args, env: s.cmd.Env,
		filter: filter, signals: inherited,
	}
	failpoint("before-filter")
	// A shim that is gone shows at the next step.
	_ = writeFull(s.control, m.encode())
	return l, nil
}

// launch sees the shim through to its exec.
func (s *session) launch(l *launcher) error {
	fd, err := s.receiveListener()
	switch {
	case errors.Is(err, seccomp.ErrNested):
		s.beginBlind()
	case err != nil:
		return s.abandon(l, err)
	default:
		if err := s.beginReceiving(fd); err != nil {
			unix.Close(fd)
			return s.abandon(l, err)
		}
	}
	begun := startEvent(s.root, s.header.Cwd) // while nobody else looks at the root
	failpoint("before-seize")
	if err := l.seize(); err != nil {
		err = s.abandon(l, fmt.Errorf("follow the command's processes: %w", err))
		s.stopReceiving()
		return err
	}
	if err := s.cmd.Sink.Begin(&s.header); err != nil {
		s.err = fmt.Errorf("begin record: %w", err) // the rest is dropped; the command must not suffer
	}
	s.owner.mail.send(msgReady{})
	s.queue.process(begun)
	for _, a := range inheritedFiles(s.root.pid) {
		e := &entry{access: a}
		s.queue.reserve(e)
		s.queue.settle(e, false)
	}
	go s.consume()
	go s.finish()
	failpoint("before-exec")
	if err := writeFull(s.control, []byte{goAhead}); err != nil && !errors.Is(err, unix.EPIPE) {
		_ = s.owner.signal(unix.SIGKILL)
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
		return -1, errPeerGone
	case b[0] == replyListener && len(fds) == 1:
		return fds[0], nil
	case b[0] == replyNested:
		return -1, seccomp.ErrNested
	case b[0] == replyFailure:
		f, err := s.readFailure()
		if err != nil {
			return -1, err
		}
		return -1, f.explain()
	}
	return -1, fmt.Errorf("launch: unexpected reply %q", b[0])
}

// readFailure reads what follows replyFailure.
func (s *session) readFailure() (*failure, error) {
	b, err := readMessage(s.control)
	if err != nil {
		return nil, fmt.Errorf("launch: read the shim's error: %w", err)
	}
	return decodeFailure(b)
}

// explain makes an error of what the shim reports before the exec.
func (f *failure) explain() error {
	switch {
	case f.step == "install filter" && (f.errno == unix.EINVAL || f.errno == unix.ENOSYS):
		return fmt.Errorf("%s: %w: this kernel has no user-notify filters (Linux 5.5 and later have them)", f.step, f.errno)
	}
	return fmt.Errorf("%s: %w", f.step, f.errno)
}

// beginBlind begins a session below another listener: the kernel allows one, so
// file accesses are seen by the outer one alone, and processes are all that can be
// followed here.
func (s *session) beginBlind() {
	s.gaps.add(events.ReasonNested, 0, "another fstrace, or a container runtime, has a seccomp listener above: it sees the file accesses, this record has processes only")
	close(s.received)
}

// beginReceiving gives the keeper the listener and starts the receiver.
func (s *session) beginReceiving(fd int) error {
	if err := s.keeper.hold(fd); err != nil {
		return err
	}
	l, err := seccomp.NewListener(fd)
	if err != nil {
		return err
	}
	o, err := newObserver(s.gaps)
	if err != nil {
		return err
	}
	s.listener = l
	s.receiver = &receiver{
		listener: l, index: s.index, observer: o, registry: s.registry, owner: s.owner, queue: s.queue, wishes: s.wishes, sleepers: s.sleepers, gaps: s.gaps,
		ioUring: s.cmd.IOUring, guard: s.cmd.Guard, lastID: s.keeper.lastID,
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
	ws, killed := l.reap(errors.Is(cause, errPeerGone))
	if s.keeper != nil {
		s.keeper.dismiss()
	}
	ending := ask(s.owner, func(r chan<- Ending) message { return msgEnding{r} })
	s.owner.close()
	if ws.Signaled() && !killed {
		s.endEarly(ws, ending)
		return nil
	}
	if errors.Is(cause, errPeerGone) {
		return fmt.Errorf("launch: the helper process ended with %+v", exitOf(ws))
	}
	return cause
}

// endEarly makes the record of a command that a signal ended before it began.
func (s *session) endEarly(ws unix.WaitStatus, ending Ending) {
	s.result = Result{Exit: exitOf(ws), Status: ws, Ending: ending}
	s.err = s.cmd.Sink.Begin(&s.header)
	if s.err == nil {
		s.err = s.cmd.Sink.End(&events.Trailer{End: time.Now(), Exit: s.result.Exit})
	}
	close(s.done)
}

// awaitExec waits until the shim's end of the socket is closed by its exec, or
// until it says why there is none.
func (s *session) awaitExec() error {
	var b [1]byte
	if err := readFull(s.control, b[:]); err != nil || b[0] != replyFailure {
		return nil // executed, or killed: the session tells
	}
	f, err := s.readFailure()
	switch {
	case err != nil:
	case f.step != stepExec:
		err = f.explain()
	default:
		e := newExecError(s.cmd, f.errno)
		err = e
		// What it is to exit with; a shim that is gone has ended already.
		_ = writeFull(s.control, []byte{byte(e.ExitStatus())})
	}
	<-s.done
	return err
}
