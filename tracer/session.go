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
	// shimSocket is the shim's end, -1 if the shim has it.
	shimSocket int
	files      []uintptr   // what the command's descriptors are to be, by number
	spare      *prestarted // the shim, if it was started ahead of need

	// What the launch leaves for the record's beginning.
	begun      *events.Event
	inherited  []observe.Access
	endedEarly bool // a signal has ended the shim before it was let exec: result says how

	owner      *owner
	requests   *ptraceRequests
	blocked    *blockedCalls
	recordings *recordings // nil if no process records its own calls
	root       *process    // set when the shim has been started
	inners     *inners     // inside of this session; nil if this one has no listener
	outer      *outer      // this one is inside of its session, and served by it; nil for none

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
		control: -1, shimSocket: -1,
		traced: make(chan traceEnd, 1), received: make(chan struct{}), consumed: make(chan error, 1),
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
func (s *session) start() error {
	err := s.connect()
	if s.control >= 0 {
		defer unix.Close(s.control)
	}
	if err != nil {
		s.closeShimSocket()
		s.owner.close()
		return err
	}
	if s.cmd.StartAfter != nil {
		<-s.cmd.StartAfter
	}
	l := newLauncher(s)
	if s.spare != nil {
		s.spare.run <- l.run
	} else {
		tracerThread(l.run)
	}
	defer s.cmd.Spare.fill()
	if err := <-l.launched; err != nil {
		return err
	}
	if s.endedEarly {
		s.endEarly()
		return nil
	}
	return s.execute()
}

// connect makes the sockets to talk to the shim by, if it has none yet.
func (s *session) connect() (err error) {
	if a := s.cmd.Adopt; a != nil {
		s.control, err = a.socket()
		return err
	}
	if s.files, err = s.cmd.descriptors(); err != nil {
		return err
	}
	if s.cmd.Spare.serves(s.cmd, s.files) {
		if s.spare = s.cmd.Spare.take(); s.spare != nil {
			s.control = s.spare.control
			return nil
		}
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("launch: socketpair: %w", err)
	}
	s.control, s.shimSocket = pair[0], pair[1]
	return nil
}

// closeShimSocket closes the shim's end of the socket, which the shim has, or will not
// have.
func (s *session) closeShimSocket() {
	if s.shimSocket >= 0 {
		unix.Close(s.shimSocket)
		s.shimSocket = -1
	}
}

// tellShim sends the shim what to run. Meanwhile the shim comes up.
func (s *session) tellShim() error {
	var err error
	var filter string
	if s.index, err = syscalls.NewIndex(); err == nil {
		s.recordings = s.newRecordings()
		filter, err = s.index.Filter(s.recordings.filterKey())
	}
	if err != nil {
		return err
	}
	m := shim.Launch{
		Path: s.executable(), Dir: s.cmd.Dir, Argv: s.cmd.Args, Env: s.cmd.Env,
		Filter: filter, Signals: shim.Inherited(), Umask: -1, Setsid: s.cmd.Setsid,
	}
	if s.cmd.Umask != nil {
		m.Umask = int32(*s.cmd.Umask)
	}
	if s.cmd.Setsid {
		m.Signals = shim.Signals{}
	}
	if a := s.cmd.Adopt; a != nil {
		m.Dir, m.Setsid, m.Umask = "", false, -1
		m.Signals, m.Tracer = shim.Signals{Mask: a.Mask, Ignored: a.Ignored}, uint32(unix.Getpid())
	}
	switch {
	case s.spare != nil:
		m.Files, m.Rest = len(s.files), spareSocket+1
	case s.cmd.Descriptors != nil && s.cmd.Adopt == nil && !s.cmd.InheritFiles:
		m.Rest = len(s.files) + 1 // behind the socket
	}
	failpoint.At("before-filter")
	err = shim.WriteFull(s.control, m.Encode())
	if err == nil && m.Files > 0 {
		err = shim.SendDescriptors(s.control, shim.GoAhead, s.fileNumbers()...)
	}
	// The next step notices a shim that is gone.
	if err != nil && !errors.Is(err, unix.EPIPE) {
		return fmt.Errorf("launch: send the command: %w", err)
	}
	return nil
}

func (s *session) fileNumbers() []int {
	list := make([]int, len(s.files))
	for i, fd := range s.files {
		list[i] = int(fd)
	}
	return list
}

// executable returns the command's path, as its process finds it. /proc/self/exe stands
// for the program that starts the command, as in os/exec; in the command's process it may
// be the shim.
func (s *session) executable() string {
	const self = "/proc/self/exe"
	if s.cmd.Path == self && (s.cmd.Adopt != nil || !shim.SignalsKept()) {
		return fmt.Sprintf("/proc/%d/exe", s.root.ppid)
	}
	return s.cmd.Path
}

// awaitFilter waits until the shim has the filter, and starts receiving its calls.
func (s *session) awaitFilter() error {
	fd, err := s.receiveListener()
	switch {
	case errors.Is(err, seccomp.ErrNested):
		if err := s.join(); err != nil {
			s.beginBlind(err)
		}
		return nil
	case err != nil:
		return err
	}
	if err := s.beginReceiving(fd); err != nil {
		unix.Close(fd)
		return err
	}
	return nil
}

// execute begins the record and has the shim execute the command. The sink is not called
// on the tracer thread: what it might start there would be taken for a process of the
// command's.
func (s *session) execute() error {
	if err := s.cmd.Sink.Begin(&s.header); err != nil {
		s.err = fmt.Errorf("begin record: %w", err) // the rest is dropped; the command must not suffer
	}
	s.owner.mail.send(msgReady{})
	s.queue.process(s.root, s.begun)
	for _, a := range s.inherited {
		if s.cmd.Guard != nil {
			a.Guarded(s.cmd.Guard)
		}
		e := &entry{access: a}
		s.queue.reserve(e)
		s.queue.finish(e, false)
	}
	s.inherited = nil
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
		ioUring: s.cmd.IOUring, guard: s.cmd.Guard, keeper: s.keeper, recordings: s.recordings,
		ended: make(chan struct{}), rouse: make(chan struct{}, 1),
	}
	if s.recordings != nil {
		st, err := procfs.ReadStatus(s.root.pid)
		if err != nil {
			return err
		}
		s.recordings.filters = st.Filters
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
	s.awaitReceived() // the shim is dead: nobody has the filter
	_ = s.listener.Close()
}

// endEarly makes the record of a command that a signal ended before it began.
func (s *session) endEarly() {
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
