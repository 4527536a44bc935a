package tracer

import (
	"fmt"
	"os"
	"time"

	"github.com/fstrace/fstrace/events"
	"golang.org/x/sys/unix"
)

// An owner is the one goroutine that knows whether the processes of a session
// live, and holds their pidfds. What happens to them, and what is asked for,
// reaches it as messages; it alone signals them, and only by pidfd: pidfd_open(2),
// Linux 5.3. A number is never signalled: it may be another process's by then.
type owner struct {
	mail  *mailbox[message]
	gone  func(*process, *events.Exit) // an escaped process has ended
	watch *exitWatch

	handles map[*process]int   // pidfds of processes that live, -1 where none could be spared
	escaped map[int32]*process // those of them that are watched, by pid
	root    *process           // nil before it is started
	ready   bool
	waiting []unix.Signal // for the root, from before it could take them
	life    lifecycle

	timeout, killAfter time.Duration
	timer              *time.Timer
	stopped            chan struct{}
}

// A message tells the owner what has happened, or asks it for something.
type message interface{ tell(*owner) }

type (
	// msgStarted: a process was seen, before it could end: fd is surely its own.
	msgStarted struct {
		proc *process
		fd   int // -1 if there is none
		root bool
	}
	// msgReady: the command's process takes signals as the command will. Before that
	// they would meet the handlers of the Go runtime in the shim.
	msgReady struct{}
	// msgEnded: wait4 has reported a process's end.
	msgEnded struct {
		proc   *process
		status unix.WaitStatus
	}
	// msgEscaped: ptrace will not report this process's end.
	msgEscaped struct{ proc *process }
	// msgGone: the pidfd of an escaped process says that it has ended.
	msgGone struct{ pid int32 }
	// msgSignal asks for a signal to the command.
	msgSignal struct {
		sig   unix.Signal
		reply chan<- error
	}
	// msgLiving asks which of the escaped processes live.
	msgLiving struct{ reply chan<- []*process }
	// msgTimedOut asks whether the session's processes have been told to end.
	msgTimedOut struct{ reply chan<- bool }
	// msgEnding asks how the command ended.
	msgEnding struct{ reply chan<- Ending }
	// msgClose ends the owner.
	msgClose struct{}
)

// newOwner starts an owner. A timeout of 0 is none.
func newOwner(gone func(*process, *events.Exit), timeout, killAfter time.Duration) (*owner, error) {
	o := &owner{
		mail: newMailbox[message](), gone: gone, handles: make(map[*process]int),
		escaped: make(map[int32]*process),
		timeout: timeout, killAfter: killAfter, stopped: make(chan struct{}),
	}
	o.timer = time.NewTimer(time.Hour)
	o.timer.Stop()
	watch, err := newExitWatch(func(pid int32) { o.mail.send(msgGone{pid}) })
	if err != nil {
		return nil, err
	}
	o.watch = watch
	go o.run()
	return o, nil
}

func (o *owner) run() {
	defer close(o.stopped)
	for {
		select {
		case <-o.mail.ready:
			for _, m := range o.mail.take() {
				if _, last := m.(msgClose); last {
					o.release()
					return
				}
				m.tell(o)
			}
		case <-o.timer.C:
			o.tick()
		}
	}
}

// release gives up what the owner holds.
func (o *owner) release() {
	o.timer.Stop()
	o.watch.close()
	for _, fd := range o.handles {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

// close ends the owner and waits for that.
func (o *owner) close() {
	o.mail.send(msgClose{})
	<-o.stopped
}

// signal sends a signal to the command, now or when it is there.
func (o *owner) signal(sig unix.Signal) error {
	reply := make(chan error, 1)
	o.mail.send(msgSignal{sig, reply})
	select {
	case err := <-reply:
		return err
	case <-o.stopped:
		return os.ErrProcessDone
	}
}

// tick: a timer has run out. A command that has ended by then, though its end is
// still to be told, has ended without the timer's doing.
func (o *owner) tick() {
	if fd, ok := o.handles[o.root]; ok && hasEnded(fd) { // it has one: it was the first
		o.life.gone()
	}
	act := o.life.grace()
	if act == doNothing {
		act = o.life.timeout()
	}
	switch act {
	case terminateAll:
		o.signalAll(unix.SIGTERM)
		o.timer.Reset(o.killAfter)
	case killAll:
		o.signalAll(unix.SIGKILL)
	case doNothing:
	}
}

func (o *owner) signalAll(sig unix.Signal) {
	for p := range o.handles {
		_ = o.send(p, sig) // the only error is that it has ended
	}
}

// send signals a process that lives as far as is known.
func (o *owner) send(p *process, sig unix.Signal) error {
	fd, ok := o.handles[p]
	if !ok {
		return os.ErrProcessDone
	}
	if fd < 0 { // the number is its own: its end has not been told
		var err error
		if fd, err = unix.PidfdOpen(p.pid, 0); err != nil {
			return os.ErrProcessDone
		}
		defer unix.Close(fd)
	}
	return sendSignal(fd, sig)
}

// hasEnded tells whether a process has, by its pidfd, which is readable from then
// on, reaped or not: pidfd_open(2).
func hasEnded(fd int) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(fds, 0)
		if err != unix.EINTR {
			return n > 0
		}
	}
}

// sendSignal signals a process by pidfd. A descendant may have changed to a user
// whom this process may not signal; all else says that it has ended.
func sendSignal(fd int, sig unix.Signal) error {
	switch err := unix.PidfdSendSignal(fd, sig, nil, 0); err {
	case nil:
		return nil
	case unix.ESRCH:
		return os.ErrProcessDone
	default:
		return fmt.Errorf("send %s: %w", signalName(sig), err)
	}
}

func (m msgStarted) tell(o *owner) {
	o.handles[m.proc] = m.fd
	if m.root {
		o.root = m.proc
		if o.timeout > 0 {
			o.timer.Reset(o.timeout)
		}
	}
	// Born after the others got it.
	switch o.life.stage {
	case terminating:
		_ = o.send(m.proc, unix.SIGTERM)
	case killing:
		_ = o.send(m.proc, unix.SIGKILL)
	case running:
	}
}

func (msgReady) tell(o *owner) {
	o.ready = true
	for _, sig := range o.waiting {
		_ = o.send(o.root, sig) // an error says that it has ended
	}
	o.waiting = nil
}

func (m msgEnded) tell(o *owner) {
	o.drop(m.proc)
	if m.proc == o.root {
		o.life.exit(m.status)
	}
}

// drop gives up the pidfd of a process that has ended.
func (o *owner) drop(p *process) {
	if fd, ok := o.handles[p]; ok {
		delete(o.handles, p)
		if fd >= 0 {
			unix.Close(fd)
		}
	}
	if o.escaped[int32(p.pid)] == p {
		delete(o.escaped, int32(p.pid))
	}
}

func (m msgEscaped) tell(o *owner) {
	fd, ok := o.handles[m.proc]
	if !ok || m.proc == o.root { // the root's parent is the tracer thread: wait4 tells
		return
	}
	if fd < 0 { // few escape: there is one to spare for each
		var err error
		if fd, err = unix.PidfdOpen(m.proc.pid, 0); err != nil {
			return
		}
		o.handles[m.proc] = fd
	}
	if err := o.watch.add(fd, int32(m.proc.pid)); err == nil {
		o.escaped[int32(m.proc.pid)] = m.proc
	}
}

func (m msgGone) tell(o *owner) {
	p := o.escaped[m.pid]
	if p == nil {
		return // reported by wait4 as well, and dropped
	}
	o.gone(p, exitOfStranger(p.pid, o.handles[p]))
	o.drop(p)
}

// exitOfStranger asks how a process that is nobody's child here has ended. Its
// pidfd tells when its parent has reaped it (PIDFD_INFO_EXIT, Linux 6.15), /proc
// until then. Nil says that it could not be learnt.
func exitOfStranger(pid, fd int) *events.Exit {
	if exit := exitByPidfd(fd); exit != nil {
		return exit
	}
	if ws, ok := readZombie(pid); ok {
		exit := exitOf(ws)
		return &exit
	}
	return exitByPidfd(fd) // reaped just now
}

func exitByPidfd(fd int) *events.Exit {
	info := unix.PidfdInfo{Mask: unix.PIDFD_INFO_EXIT}
	if err := unix.IoctlPidfdInfo(fd, &info); err != nil || info.Mask&unix.PIDFD_INFO_EXIT == 0 {
		return nil
	}
	exit := exitOf(unix.WaitStatus(info.Exit_code))
	return &exit
}

func (m msgSignal) tell(o *owner) {
	if !o.ready && m.sig != unix.SIGKILL {
		o.waiting = append(o.waiting, m.sig)
		m.reply <- nil
		return
	}
	m.reply <- o.send(o.root, m.sig)
}

func (m msgLiving) tell(o *owner) {
	var list []*process
	for _, p := range o.escaped {
		if o.send(p, 0) == nil {
			list = append(list, p)
		}
	}
	m.reply <- list
}

func (m msgTimedOut) tell(o *owner) { m.reply <- o.life.stage != running }
func (m msgEnding) tell(o *owner)   { m.reply <- o.life.ending() }
func (msgClose) tell(*owner)        {}

// ask sends a question and returns the answer.
func ask[T any](o *owner, question func(reply chan<- T) message) (answer T) {
	reply := make(chan T, 1)
	o.mail.send(question(reply))
	select {
	case answer = <-reply:
	case <-o.stopped:
	}
	return answer
}
