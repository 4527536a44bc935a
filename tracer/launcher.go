package tracer

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/fstrace/fstrace/events"
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

// seize has the shim traced, and followed from then on.
func (l *launcher) seize() error {
	l.orders <- orderSeize
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
	failpoint("before-shim")
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
		l.seized <- err
		if err == nil {
			l.session.traced <- l.follow()
			return
		}
	}
}

// attach begins to trace the shim, if the command is to be traced.
//
// Below another listener that may fail: the one who has that listener is told of our
// wish, but the tracer may be a third one between us, who is not. Then only the
// command itself is followed, as a child.
func (l *launcher) attach(pid int) error {
	s := l.session
	if s.cmd.Lifecycle != LifecyclePtrace {
		return nil
	}
	err := seize(pid)
	if errors.Is(err, unix.EPERM) && s.listener == nil {
		s.gaps.add(events.ReasonUntraced, pid, "another tracer has the command: its descendants are not followed")
		return nil
	}
	l.traced = err == nil
	return err
}

// fork starts the shim with all signals blocked, and in a process group of its own,
// which it leaves when it is ready. A stop by the terminal before its own exec would
// hold up this thread (vfork) for as long as the job is stopped; any other signal of
// the group would meet the Go runtime's handlers, which no mask keeps it from, not
// the command's defaults.
func (l *launcher) fork(files []uintptr) error {
	mask, errno := signalMask(nil)
	if errno != 0 {
		return fmt.Errorf("launch: read signal mask: %w", errno)
	}
	blocked := ^uint64(0)
	if _, errno := signalMask(&blocked); errno != 0 {
		return fmt.Errorf("launch: block signals: %w", errno)
	}
	defer signalMask(&mask)
	fd := -1
	pid, err := syscall.ForkExec("/proc/self/exe", []string{shimName, strconv.Itoa(len(files) - 1)}, &syscall.ProcAttr{
		Env: helperEnv, Files: files, Sys: &syscall.SysProcAttr{PidFD: &fd, Setpgid: true},
	})
	if err != nil {
		return fmt.Errorf("launch: start the helper process /proc/self/exe: %w", err)
	}
	l.session.root = &process{pid: pid, ppid: os.Getpid(), argv: l.session.cmd.Args}
	l.session.owner.mail.send(msgStarted{proc: l.session.root, fd: fd, root: true})
	return nil
}

// leavesRest tells whether descendants that outlive the command are let go: not if
// they are to be waited for, nor if a timeout has told them to end.
func (s *session) leavesRest() bool {
	return s.cmd.Wait == WaitRoot && !ask(s.owner, func(r chan<- bool) message { return msgTimedOut{r} })
}

// spareDescriptors are left for everything else that has to be opened, where the
// limit of open files is low or the processes are many.
const spareDescriptors = 24

// openPidfd returns a process's pidfd, or -1 if there is none to spare. It must be
// called when the process surely has not been reaped.
func openPidfd(pid int) int {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return -1
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err == nil && uint64(fd)+spareDescriptors >= limit.Cur {
		unix.Close(fd)
		return -1
	}
	return fd
}

func (l *launcher) reapShim(pid int, ending bool) reapedShim {
	s := l.session
	ws, ok := unix.WaitStatus(0), false
	if !ending {
		if ws, ok = waitFor(pid, unix.WNOHANG); !ok {
			_ = s.owner.signal(unix.SIGKILL)
		}
	}
	// It may have been dying already, by a signal that was meant for the command.
	killed := false
	if !ok {
		ws, _ = waitFor(pid, 0)
		killed = !ending && ws.Signaled() && ws.Signal() == unix.SIGKILL
	}
	s.owner.mail.send(msgEnded{s.root, ws})
	return reapedShim{ws, killed}
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
	k := linux{index: s.index, sleepers: s.sleepers}
	f := newFollower(k, s.registry, s.queue.process)
	f.started = func(p *process) { s.owner.mail.send(msgStarted{proc: p, fd: openPidfd(p.pid)}) }
	f.wishes = s.wishes
	var e echoes
	f.isEcho = func(tid int, sig unix.Signal) bool {
		sender, ok := k.sender(tid)
		if p, _ := s.registry.find(sender); p != nil {
			return false // its own doing: a handler that ends it by the signal it handles, say
		}
		return ok && e.isEcho(sig, sender == os.Getpid(), time.Now())
	}
	f.escaped = func(p *process) { s.owner.mail.send(msgEscaped{p}) }
	f.ended = func(p *process, ws unix.WaitStatus) { s.owner.mail.send(msgEnded{p, ws}) }
	if s.cmd.Stopped != nil {
		f.stopped = s.cmd.Stopped
	}
	f.begin(s.root, l.traced)
	var batch []waitEvent
	for {
		var err error
		batch, err = collect(k, batch, f.known)
		if err != nil {
			end := traceEnd{status: f.rootState, released: f.released}
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
		}
		if f.release && len(f.tasks) == 0 {
			return traceEnd{status: f.rootState, released: f.released}
		}
	}
}
