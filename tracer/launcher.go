package tracer

import (
	"errors"
	"os"
	"syscall"
	"time"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/tracer/internal/failpoint"
	"github.com/fstrace/fstrace/tracer/internal/observe"
	"golang.org/x/sys/unix"
)

// A launcher is what the tracer thread does: it starts the shim, so that the shim
// is its child, and does what start asks of it until it follows the command.
type launcher struct {
	session *session
	forked  chan error
	orders  chan order
	seized  chan error
	reaped  chan reapedShim
	traced  bool // the shim is, and the command with it
}

// reapedShim is how an untraced shim ended, and whether fstrace had to kill it.
type reapedShim struct {
	status unix.WaitStatus
	killed bool
}

type order uint8

const (
	orderSeize order = iota // trace the shim, if the command is to be traced, and follow it
	orderReap               // see to the shim's end, untraced
	orderAwait              // the same, and it is about to end by itself
)

func newLauncher(s *session) *launcher {
	return &launcher{
		session: s, forked: make(chan error), orders: make(chan order),
		seized: make(chan error), reaped: make(chan reapedShim),
	}
}

// seize has the shim traced, and followed from then on. That is the tracer thread's
// work; this one does something else meanwhile.
func (l *launcher) seize(meanwhile func()) error {
	l.orders <- orderSeize
	meanwhile()
	return <-l.seized
}

// reap waits for the end of a shim that is not traced, and kills it first if it
// has not ended, unless it is ending.
func (l *launcher) reap(ending bool) (ws unix.WaitStatus, killed bool) {
	if ending {
		l.orders <- orderAwait
	} else {
		l.orders <- orderReap
	}
	r := <-l.reaped
	return r.status, r.killed
}

// run is the tracer thread, to its end.
func (l *launcher) run(files []uintptr) {
	failpoint.At("before-shim")
	err := l.fork(files)
	l.forked <- err
	if err != nil {
		return
	}
	pid := l.session.root.pid
	for o := range l.orders {
		if o != orderSeize {
			l.reaped <- l.reapShim(pid, o == orderAwait)
			return
		}
		err := l.attach(pid)
		if err == nil { // before it is let make a call
			l.session.registry.enter(pid, l.session.root, l.traced)
		}
		l.seized <- err
		if err == nil {
			failpoint.At("before-follow")
			l.session.traced <- l.follow()
			return
		}
	}
}

// attach begins to trace the shim, if the command is to be traced.
//
// Below another listener that may fail: the process that has that listener learns of our
// wish, but the tracer may be a third one between us, who is not. Then only the command
// itself is followed, as a child.
func (l *launcher) attach(pid int) error {
	s := l.session
	if s.cmd.Lifecycle != LifecyclePtrace || s.outer != nil {
		return nil
	}
	err := seize(pid)
	if errors.Is(err, unix.EPERM) && s.listener == nil {
		s.incomplete.add(events.ReasonUntraced, pid, "another tracer has the command: its descendants are not followed")
		return nil
	}
	l.traced = err == nil
	return err
}

// fork starts the shim, or takes over the one that is there already.
func (l *launcher) fork(files []uintptr) error {
	s := l.session
	if a := s.cmd.Adopt; a != nil {
		fd, err := a.duplicate()
		if err != nil {
			return err
		}
		s.root = &process{pid: a.PID, ppid: a.PPID, argv: s.cmd.Args}
		s.owner.mail.send(msgStarted{proc: s.root, fd: fd, root: true})
		return nil
	}
	attr := &syscall.SysProcAttr{Setpgid: true}
	if s.cmd.Setsid {
		attr = &syscall.SysProcAttr{Setsid: true}
	}
	pid, fd, err := forkShim(files, attr)
	if err != nil {
		return err
	}
	s.root = &process{pid: pid, ppid: os.Getpid(), argv: s.cmd.Args}
	s.owner.mail.send(msgStarted{proc: s.root, fd: fd, root: true})
	return nil
}

// leavesRest reports whether descendants that outlive the command are let go: not if they
// are to be waited for, nor if a timeout has told them to end.
func (s *session) leavesRest() bool {
	return s.cmd.WaitFor == WaitRoot && !ask(s.owner, func(r chan<- bool) message { return msgTimedOut{r} })
}

// spareDescriptors are left for everything else that has to be opened, where the
// limit of open files is low or the processes are many.
const spareDescriptors = 24

// openPidfd returns a process's pidfd, or -1 if there is none to spare, and its
// inode. It must be called when the process surely has not been reaped.
func openPidfd(pid int) (fd int, inode uint64) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return -1, 0
	}
	inode = inodeOf(fd)
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err == nil && uint64(fd)+spareDescriptors >= limit.Cur {
		unix.Close(fd)
		return -1, inode
	}
	return fd, inode
}

func (l *launcher) reapShim(pid int, ending bool) reapedShim {
	s := l.session
	ws, ok := unix.WaitStatus(0), false
	if !ending {
		if ws, ok = s.shimEnded(pid); !ok {
			_ = s.owner.signal(unix.SIGKILL)
		}
	}
	// It may have been dying already, by a signal that was meant for the command.
	killed := false
	if !ok {
		ws = s.awaitShim(pid)
		killed = !ending && ws.Signaled() && ws.Signal() == unix.SIGKILL
	}
	s.owner.mail.send(msgEnded{s.root, ws})
	return reapedShim{ws, killed}
}

// shimEnded reports whether an untraced shim has ended, and how.
func (s *session) shimEnded(pid int) (unix.WaitStatus, bool) {
	if a := s.cmd.Adopt; a != nil {
		if a.ended(0) {
			return a.status(), true
		}
		return 0, false
	}
	return waitFor(pid, unix.WNOHANG)
}

// awaitShim waits for an untraced shim's end.
func (s *session) awaitShim(pid int) unix.WaitStatus {
	if a := s.cmd.Adopt; a != nil {
		a.ended(-1)
		return a.status()
	}
	ws, _ := waitFor(pid, 0)
	return ws
}

// waitFor reaps one child of this thread.
func waitFor(pid, options int) (ws unix.WaitStatus, ok bool) {
	for {
		if got, err := unix.Wait4(pid, &ws, options, nil); err != unix.EINTR {
			return ws, got == pid
		}
	}
}

// follow handles the events of the command and its descendants until the session
// is over: until the last of them has ended or, by the wait policy, the command
// itself has and the others have been let go.
func (l *launcher) follow() traceEnd {
	s := l.session
	usage := &rootUsage{pid: s.root.pid}
	k := linux{index: s.index, blocked: s.blocked, restarts: new(restarts), usage: usage}
	emit := s.queue.process
	if s.outer != nil {
		emit = func(*process, *events.Event) {} // the fstrace above tells
	}
	f := newFollower(k, s.registry, emit)
	f.orphaned = func(p *process) { s.inners.orphaned(p.pid) }
	usage.tasks = func() int { return len(f.tasks) }
	unheld := make(map[*process]bool) // for which there was no pidfd to spare
	f.started = func(p *process) {
		fd, inode := openPidfd(p.pid)
		if fd < 0 {
			unheld[p] = true
		}
		s.owner.mail.post(msgStarted{proc: p, fd: fd, inode: inode})
	}
	f.requests = s.requests
	var e signalDedup
	f.isEcho = func(tid int, sig unix.Signal) bool {
		sender, ok := k.sender(tid)
		if p, _ := s.registry.find(sender); p != nil {
			return false // its own doing: a handler that ends it by the signal it handles, say
		}
		return ok && e.isEcho(sig, sender == s.root.ppid, time.Now())
	}
	f.executed = func(p *process, exe string, argv []string) {
		emit := func(e *events.Event) { s.queue.process(p, e) }
		observe.Interpreter(s.registry.takeRunning(p), p.pid, exe, argv, s.incomplete.add, emit)
	}
	f.escaped = func(p *process) {
		fd, err := unix.PidfdOpen(p.pid, 0) // in case that there was none to spare
		if err != nil {
			fd = -1
			if unheld[p] {
				s.inners.unseen(p)
				s.incomplete.add(events.ReasonUntraced, p.pid, endUnseen)
			}
		}
		s.owner.mail.send(msgEscaped{p, fd})
	}
	f.ended = func(p *process, ws unix.WaitStatus) {
		s.inners.died(p)
		if !unheld[p] {
			s.owner.mail.post(msgEnded{p, ws})
			return
		}
		delete(unheld, p)
		s.owner.mail.send(msgEnded{p, ws}) // at once: its number may be another's soon
	}
	if s.cmd.OnStop != nil {
		f.stopped = s.cmd.OnStop
	}
	f.begin(s.root, l.traced)
	var batch []waitEvent
	var from waiter = k
	for {
		var err error
		batch, err = collect(from, batch, f.known)
		if err == errStuck {
			stuck := f.abandon()
			return traceEnd{status: f.rootState, usage: usage.ended, released: f.released, stuck: stuck}
		}
		if err != nil {
			if s.cmd.Adopt != nil && err == errNoTracees && !f.rootDone {
				// Untraced, and nobody's child here. It may have been let out while others
				// were traced: then it is waited for after them.
				f.endOf(s.root, s.awaitShim(s.root.pid))
			}
			end := traceEnd{status: f.rootState, usage: usage.ended, released: f.released}
			if err != errNoTracees {
				end.err = err
			}
			return end
		}
		for i := range batch {
			f.handle(&batch[i])
		}
		if f.rootDone && !f.release && s.leavesRest() {
			f.releaseAll()
			from = newReleaser(k, f)
		}
		if f.release && len(f.tasks) == 0 {
			return traceEnd{status: f.rootState, usage: usage.ended, released: f.released}
		}
	}
}
