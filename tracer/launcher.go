package tracer

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/tracer/internal/failpoint"
	"github.com/fstrace/fstrace/tracer/internal/observe"
	"github.com/fstrace/fstrace/tracer/internal/shim"
	"golang.org/x/sys/unix"
)

// A launcher is the work of the tracer thread: it starts the shim as its child, prepares
// it until it may exec, and then follows the command. One thread does all of this,
// because each change of thread costs as much as many system calls.
type launcher struct {
	session  *session
	launched chan error // the shim is traced, or has ended
	traced   bool       // the shim is, and the command with it
}

func newLauncher(s *session) *launcher {
	return &launcher{session: s, launched: make(chan error, 1)}
}

// run is the tracer thread, to its end.
func (l *launcher) run() {
	failpoint.At("before-shim")
	err := l.launch()
	follows := err == nil && !l.session.endedEarly
	l.launched <- err
	if !follows {
		return
	}
	failpoint.At("before-follow")
	l.session.traced <- l.follow()
}

// launch starts the shim and returns when the shim waits for the go-ahead. On failure it
// undoes what it has done.
func (l *launcher) launch() error {
	s := l.session
	err := l.fork()
	s.closeShimSocket()
	if err != nil {
		s.owner.close()
		return err
	}
	if err := s.tellShim(); err != nil {
		return l.abandon(err)
	}
	if err := s.awaitFilter(); err != nil {
		return l.abandon(err)
	}
	if err := l.begin(); err != nil {
		err = l.abandon(err)
		s.stopReceiving()
		return err
	}
	return nil
}

// begin starts to trace the shim, which has the filter.
func (l *launcher) begin() error {
	s := l.session
	pid := s.root.pid
	if err := s.cmd.limit(pid); err != nil {
		return err
	}
	s.begun = startEvent(s.root, s.header.Cwd) // while nobody else looks at the root
	failpoint.At("before-seize")
	// Not before: until the shim has been executed it has files of this process's open.
	s.header.Process, s.inherited = s.startState(pid)
	if err := l.attach(pid); err != nil {
		return cannotFollow(err)
	}
	if s.keeper != nil && !l.traced { // it will outlive us, whatever becomes of us
		if err := s.keeper.need(); err != nil {
			return err
		}
	}
	s.registry.enter(pid, s.root, l.traced) // before it is let make a call
	return nil
}

// abandon ends a launch that failed before the command could run. If the shim was
// killed by a signal, as the command would have been, that is how the session
// ends, and no error.
func (l *launcher) abandon(cause error) error {
	s := l.session
	ws, killed := l.reapShim(s.root.pid, errors.Is(cause, shim.ErrPeerGone))
	if s.keeper != nil {
		s.keeper.dismiss()
	}
	s.outer.close()
	ending := ask(s.owner, func(r chan<- Ending) message { return msgEnding{r} })
	s.owner.close()
	if ws.Signaled() && !killed {
		s.endedEarly = true
		s.result = Result{Exit: exitOf(ws), Status: ws, Ending: ending}
		return nil
	}
	if errors.Is(cause, shim.ErrPeerGone) {
		return fmt.Errorf("launch: the helper process ended with %+v", exitOf(ws))
	}
	return &LaunchError{cause}
}

// attach seizes the shim, if ptrace follows the command.
//
// Below another listener that may fail, because a third process between the two may be
// the tracer. Then only the command itself is followed, as a child.
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
func (l *launcher) fork() error {
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
	var pid, fd int
	if p := s.spare; p != nil {
		pid, fd = p.pid, p.pidfd
	} else {
		attr := &syscall.SysProcAttr{Setpgid: true}
		if s.cmd.Setsid {
			attr = &syscall.SysProcAttr{Setsid: true}
		}
		var err error
		if pid, fd, err = forkShim(append(s.files, uintptr(s.shimSocket)), attr); err != nil {
			return err
		}
	}
	s.root = &process{pid: pid, ppid: os.Getpid(), argv: s.cmd.Args}
	s.owner.mail.send(msgStarted{proc: s.root, fd: fd, root: true})
	return nil
}

// leavesRest reports whether descendants that outlive the command are detached: not if
// the session waits for them, or if a timeout has ended them.
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

// reapShim waits for the end of a shim that is not traced, and kills it first if it has
// not ended, unless it is ending. It reports whether that killed it.
func (l *launcher) reapShim(pid int, ending bool) (ws unix.WaitStatus, killed bool) {
	s := l.session
	ok := false
	if !ending {
		if ws, ok = s.shimEnded(pid); !ok {
			_ = s.owner.signal(unix.SIGKILL)
		}
	}
	// It may have been dying already, by a signal that was meant for the command.
	if !ok {
		ws = s.awaitShim(pid)
		killed = !ending && ws.Signaled() && ws.Signal() == unix.SIGKILL
	}
	s.owner.mail.send(msgEnded{s.root, ws})
	return ws, killed
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
// itself has and the others have been detached.
func (l *launcher) follow() traceEnd {
	s := l.session
	usage := &rootUsage{pid: s.root.pid}
	k := linux{index: s.index, blocked: s.blocked, restarts: new(restarts), frames: new(handlerFrames), usage: usage, backlog: new([]waitEvent)}
	emit := s.queue.process
	if s.outer != nil {
		emit = func(*process, *events.Event) {} // the fstrace above tells
	}
	f := newFollower(k, s.registry, emit)
	f.adopted = s.inners.adopted
	f.mistaken = func(p *process) { s.inners.orphaned(p.pid, nil) }
	usage.tasks = func() int { return len(f.tasks) }
	unheld := make(map[*process]bool) // for which there was no pidfd to spare
	f.started = func(p *process) {
		fd, inode := openPidfd(p.pid)
		if fd < 0 {
			unheld[p] = true
		}
		s.owner.mail.post(msgStarted{proc: p, fd: fd, inode: inode})
	}
	f.requests, f.recordings = s.requests, s.recordings
	var e signalDedup
	f.isEcho = func(tid int, sig unix.Signal) bool {
		sender, ok := k.sender(tid)
		if p, _ := s.registry.find(sender); p != nil {
			return false // its own doing: a handler that ends it by the signal it handles, say
		}
		return ok && e.isEcho(sig, sender == s.root.ppid, time.Now())
	}
	f.executed = func(p *process, exe string, argv []string) {
		s.inners.noteImage(p)
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
				// Untraced, and nobody's child here. It may have been released while
				// others were traced: then it is waited for after them.
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
