package tracer

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/tracer/internal/procfs"
	"golang.org/x/sys/unix"
)

// An owner is the goroutine that knows which processes of a session live, and holds their
// pidfds. It receives messages about what happens to them. Only the owner sends them
// signals, and only by pidfd (pidfd_open(2), Linux 5.3), because their numbers may belong
// to other processes by then.
type owner struct {
	mail  *mailbox[message]
	gone  func(*process, *events.Exit) // an escaped process has ended
	watch *exitWatch

	handles map[*process]handle // of processes that live
	escaped map[int32]*process  // those of them that are watched, by their handles' numbers
	watched int32               // the last such number
	root    *process            // nil before it is started
	ready   bool
	// delegate signals all processes; nil if the owner does so itself.
	delegate func(unix.Signal) bool
	waiting  []unix.Signal // for the root, from before it could take them
	life     lifecycle

	timeout, killAfter time.Duration
	timer              *time.Timer
	stopped            chan struct{}
}

// A handle is the owner's pidfd of a process.
type handle struct {
	fd     int    // its pidfd, -1 where none could be spared
	inode  uint64 // of its pidfds, and of no other process's: pidfs, Linux 6.9
	number int32  // of the watch, 0 for none
}

// A message informs the owner of an event, or requests something.
type message interface{ tell(*owner) }

type (
	// msgStarted: a process was seen, before it could end: fd is surely its own.
	msgStarted struct {
		proc  *process
		fd    int    // -1 if there is none
		inode uint64 // that fd has, or would have
		root  bool
	}
	// msgReady: the command's process is traced, and takes signals as the command will.
	msgReady struct{}
	// msgEnded: wait4 has reported a process's end.
	msgEnded struct {
		proc   *process
		status unix.WaitStatus
	}
	// msgEscaped: ptrace will not report this process's end. fd is one more pidfd of
	// it, -1 for none, opened before it could end.
	msgEscaped struct {
		proc *process
		fd   int
	}
	// msgGone: the pidfd of an escaped process says that it has ended.
	msgGone struct{ number int32 }
	// msgSignal asks for a signal to the command.
	msgSignal struct {
		sig   unix.Signal
		group bool // to the group that it leads
		reply chan<- error
	}
	// msgCancel ends the session as if its timeout had expired.
	msgCancel struct{ grace time.Duration }
	// msgDelegate says that another fstrace signals all processes of the session, but
	// when that reports that it cannot.
	msgDelegate struct{ signalAll func(unix.Signal) bool }
	// msgSignalFamily asks for a signal to the processes of an inner fstrace, and to
	// those that are born from now on.
	msgSignalFamily struct {
		inner *inner
		sig   unix.Signal
	}
	// msgSignalled asks whether all signals have been sent that were asked for before.
	msgSignalled struct{ reply chan<- bool }
	// msgLiving asks which of the escaped processes live.
	msgLiving struct{ reply chan<- []*process }
	// msgSettle asks for the ends of the escaped processes that have ended or, if all
	// are ending, of all of them: the watch may still report their ends.
	msgSettle struct {
		all   bool
		reply chan<- bool
	}
	// msgTimedOut asks whether the session's processes have got SIGTERM.
	msgTimedOut struct{ reply chan<- bool }
	// msgEnding asks how the command ended.
	msgEnding struct{ reply chan<- Ending }
	// msgClose ends the owner.
	msgClose struct{}
)

// newOwner starts an owner. A timeout of 0 is none.
func newOwner(gone func(*process, *events.Exit), timeout, killAfter time.Duration) *owner {
	o := &owner{
		mail: newMailbox[message](), gone: gone, handles: make(map[*process]handle),
		escaped: make(map[int32]*process),
		timeout: timeout, killAfter: killAfter, stopped: make(chan struct{}),
	}
	o.timer = time.NewTimer(time.Hour)
	o.timer.Stop()
	o.watch = newExitWatch(func(number int32) { o.mail.send(msgGone{number}) })
	go o.run()
	return o
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
	for _, h := range o.handles {
		if h.fd >= 0 {
			unix.Close(h.fd)
		}
	}
}

// close ends the owner and waits for that.
func (o *owner) close() {
	o.mail.send(msgClose{})
	<-o.stopped
}

// signal sends a signal to the command, now or when it is there.
func (o *owner) signal(sig unix.Signal) error { return o.signalTo(sig, false) }

// signalGroup is signal for the group that the command leads.
func (o *owner) signalGroup(sig unix.Signal) error { return o.signalTo(sig, true) }

func (o *owner) signalTo(sig unix.Signal, group bool) error {
	reply := make(chan error, 1)
	o.mail.send(msgSignal{sig, group, reply})
	if err, ok := answerOf(o, reply); ok {
		return err
	}
	return os.ErrProcessDone
}

// tick is called when a timer has fired. A command that has ended by then ended before
// the timer fired, even if its end has not been reported yet.
func (o *owner) tick() {
	if h, ok := o.handles[o.root]; ok && endsWithin(h.fd, 0) { // it has one: it was the first
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
	if o.delegate != nil && o.delegate(sig) {
		return
	}
	for p := range o.handles {
		_ = o.send(p, sig) // the only error is that it has ended
	}
	o.mail.bePrompt() // those that are born from now on get it as well
}

// send sends a signal to a process that is not known to have ended.
func (o *owner) send(p *process, sig unix.Signal) error {
	h, ok := o.handles[p]
	if !ok {
		return os.ErrProcessDone
	}
	if h.fd >= 0 {
		return sendSignal(h.fd, sig)
	}
	fd, err := unix.PidfdOpen(p.pid, 0)
	if err != nil {
		return os.ErrProcessDone
	}
	defer unix.Close(fd)
	if h.inode != 0 && inodeOf(fd) != h.inode { // it has ended, and its number is another's
		return os.ErrProcessDone
	}
	return sendSignal(fd, sig)
}

// inodeOf returns a pidfd's inode number, 0 if it cannot be learnt.
func inodeOf(fd int) uint64 {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return 0
	}
	return st.Ino
}

// endsWithin reports whether a process ends within d. Its pidfd becomes readable then,
// whether it is reaped or not: pidfd_open(2).
func endsWithin(fd int, d time.Duration) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	deadline := time.Now().Add(d)
	for {
		n, err := unix.Poll(fds, max(0, int(time.Until(deadline).Milliseconds())))
		if err != unix.EINTR {
			return n > 0
		}
	}
}

// sendSignal signals a process by pidfd. A descendant may have changed to a user whom
// this process may not signal; any other error means that it has ended.
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
	o.handles[m.proc] = handle{fd: m.fd, inode: m.inode}
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
	for f := m.proc.family.Load(); f != nil; f = f.up {
		if sig := unix.Signal(f.inner.told.Load()); sig != 0 {
			o.sendFor(f.inner, m.proc, sig)
		}
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
	if h, ok := o.handles[p]; ok {
		delete(o.handles, p)
		delete(o.escaped, h.number)
		if h.fd >= 0 {
			unix.Close(h.fd)
		}
	}
}

func (m msgEscaped) tell(o *owner) {
	h, ok := o.handles[m.proc]
	if ok && h.fd < 0 { // few escape: there is one to spare for each
		h.fd, m.fd = m.fd, -1
		o.handles[m.proc] = h
	}
	if m.fd >= 0 {
		unix.Close(m.fd)
	}
	if !ok || h.fd < 0 || m.proc == o.root { // the root's parent is the tracer thread: wait4 tells
		return
	}
	// Not the pid: until its end is reported, another process may have it.
	o.watched++
	h.number = o.watched
	o.handles[m.proc], o.escaped[h.number] = h, m.proc
	_ = o.watch.add(h.fd, h.number) // if that fails its end is asked for in the end: msgSettle
}

func (m msgGone) tell(o *owner) {
	if p := o.escaped[m.number]; p != nil { // else reported by wait4 as well, and dropped
		o.tellGone(p)
	}
}

// tellGone reports the end of an escaped process.
func (o *owner) tellGone(p *process) {
	o.gone(p, exitOfUntraced(p.pid, o.handles[p].fd))
	o.drop(p)
}

// exiting is how long the end of a process that is about to end is waited for.
const exiting = 2 * time.Second

func (m msgSettle) tell(o *owner) {
	// A process gives up its filter early in its exit, and may have files to close.
	deadline := time.Now()
	if m.all {
		deadline = deadline.Add(exiting)
	}
	for _, number := range slices.Sorted(maps.Keys(o.escaped)) {
		if p := o.escaped[number]; endsWithin(o.handles[p].fd, time.Until(deadline)) {
			o.tellGone(p)
		}
	}
	m.reply <- true
}

// exitOfUntraced returns how a process that is not a child of this process has ended. Its
// pidfd has the status when its parent has reaped it (PIDFD_INFO_EXIT, Linux 6.15), and
// /proc has it until then. nil means that the status is not known.
func exitOfUntraced(pid, fd int) *events.Exit {
	if exit := exitByPidfd(fd); exit != nil {
		return exit
	}
	ws, ok := procfs.Zombie(pid)
	if exit := exitByPidfd(fd); exit != nil || !ok {
		return exit // reaped just now: the number may have been another's
	}
	exit := exitOf(ws)
	return &exit
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
	if h, ok := o.handles[o.root]; m.group && ok && h.fd >= 0 {
		const processGroup = 1 << 2 // PIDFD_SIGNAL_PROCESS_GROUP
		if err := unix.PidfdSendSignal(h.fd, m.sig, nil, processGroup); err == nil {
			m.reply <- nil
			return
		}
	}
	m.reply <- o.send(o.root, m.sig)
}

func (m msgCancel) tell(o *owner) {
	if o.life.timeout() == terminateAll {
		o.killAfter = m.grace
		o.signalAll(unix.SIGTERM)
		o.timer.Reset(m.grace)
	}
}

func (m msgDelegate) tell(o *owner) { o.delegate = m.signalAll }

func (m msgLiving) tell(o *owner) {
	var list []*process
	for _, number := range slices.Sorted(maps.Keys(o.escaped)) {
		if p := o.escaped[number]; !endsWithin(o.handles[p].fd, 0) {
			list = append(list, p)
		}
	}
	m.reply <- list
}

func (m msgSignalled) tell(*owner)  { m.reply <- true }
func (m msgTimedOut) tell(o *owner) { m.reply <- o.life.stage != running }
func (m msgEnding) tell(o *owner)   { m.reply <- o.life.ending() }
func (msgClose) tell(*owner)        {}

// ask sends a question and returns the answer, or the zero value if the owner has ended.
func ask[T any](o *owner, question func(reply chan<- T) message) T {
	reply := make(chan T, 1)
	o.mail.send(question(reply))
	answer, _ := answerOf(o, reply)
	return answer
}

// answerOf waits for an answer; ok is false if the owner has ended without one.
func answerOf[T any](o *owner, reply <-chan T) (answer T, ok bool) {
	select {
	case answer = <-reply:
		return answer, true
	case <-o.stopped:
	}
	select { // it may have answered before it ended
	case answer = <-reply:
		return answer, true
	default:
		return answer, false
	}
}
