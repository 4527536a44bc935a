package tracer

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/tracer/internal/failpoint"
	"github.com/fstrace/fstrace/tracer/internal/nested"
	"github.com/fstrace/fstrace/tracer/internal/procfs"
	"golang.org/x/sys/unix"
)

// An inner is a fstrace inside of the session, from the call by which it asks for a
// socket.
type inner struct {
	*inners
	pid     int // of the process that asked, or of a thread of it
	uid     int // effective
	conn    *os.File
	backlog *nested.Backlog
	root    *process // the command's; nil before it has joined
	linked  bool
	begin   int64      // when root began, in ticks of the clock since the boot
	self    *process   // the one that is to be linked to; nil for none but the socket
	guard   *guardLine // nil for none
	told    atomic.Int32
	over    atomic.Bool // it gets no more events
	gaps    incompleteness

	// The consumer's.
	living    map[*process]bool
	rootEnded bool
	finishing bool
	awaitsAll bool
	settling  bool
	buf       []byte
}

// run serves one to its end.
func (in *inner) run() {
	defer in.ended.Done()
	_ = in.conn.SetReadDeadline(time.Now().Add(joinPatience))
	err := in.receive()
	in.leave(err)
}

// leave ends the service. An inner fstrace that is refused still gets the refusal.
func (in *inner) leave(err error) {
	in.inners.mu.Lock()
	delete(in.list, in)
	ending := in.closed
	in.inners.mu.Unlock()
	joined, finished := in.root != nil, in.over.Swap(true)
	if joined && !finished && in.linked && !ending {
		in.kill()
	}
	if joined {
		in.active.Add(-1) // not before: images are noted as long as any is served
	}
	in.forgetImages()
	in.backlog.Seal()
	if err != nil {
		<-in.backlog.Done()
	}
	in.conn.Close()
	<-in.backlog.Done()
	in.guard.close()
}

// errRefused says that an inner fstrace is not served, and does not know that yet.
var errRefused = errors.New("refused")

// receive handles what the inner fstrace says. It returns nil when that has closed its
// end, or has sent what it must not.
func (in *inner) receive() error {
	b := make([]byte, 0, 4*nested.MaxRequest)
	for {
		n, err := in.conn.Read(b[len(b):cap(b)])
		if n == 0 || err != nil {
			return nil
		}
		b = b[:len(b)+n]
		for rest := b; ; {
			kind, body, next, ok, err := nested.Next(rest, nested.MaxRequest)
			if err != nil {
				return nil
			}
			if !ok {
				b = append(b[:0], rest...)
				break
			}
			if err := in.handle(kind, body); errors.Is(err, errRefused) {
				return err
			} else if err != nil {
				return nil
			}
			rest = next
		}
	}
}

// errUnexpected says that a message must not be sent, or not now.
var errUnexpected = errors.New("unexpected message")

func (in *inner) handle(kind nested.Kind, body []byte) error {
	switch kind {
	case nested.KindJoin:
		var m nested.Join
		if err := m.Decode(body); err != nil {
			return err
		}
		if in.root != nil {
			return errUnexpected
		}
		if err := in.join(&m); err != nil {
			in.backlog.Push((&nested.Refused{Reason: err.Error()}).Append(nil))
			return errRefused
		}
		return in.conn.SetReadDeadline(time.Time{})
	case nested.KindSignal:
		var m nested.Signal
		if err := m.Decode(body); err != nil {
			return err
		}
		if in.root == nil || m.Signal != int(unix.SIGTERM) && m.Signal != int(unix.SIGKILL) {
			return errUnexpected
		}
		if m.Signal == int(unix.SIGKILL) {
			in.kill()
		} else {
			in.signalAll(unix.SIGTERM)
		}
		return nil
	case nested.KindFinish:
		var m nested.Finish
		if err := m.Decode(body); err != nil {
			return err
		}
		if in.root == nil {
			return errUnexpected
		}
		in.session.queue.do(func() {
			in.finishing, in.awaitsAll = true, m.All
			in.check()
		})
		return nil
	}
	return errUnexpected
}

// join begins to send the events of a process. It waits for the go-ahead of the inner
// fstrace, and has started no others.
func (in *inner) join(m *nested.Join) error {
	pid := in.session.receiver.numbered(in.pid, m.PID)
	p := in.session.receiver.processToServe(pid)
	if p == nil {
		return fmt.Errorf("process %d is not of the session", m.PID)
	}
	if err := in.mayFollow(pid); err != nil {
		return err
	}
	if m.Guard {
		if err := in.connectGuard(); err != nil {
			return err
		}
	}
	in.inners.mu.Lock()
	defer in.inners.mu.Unlock()
	if in.closed {
		return errors.New("the session ends")
	}
	if len(in.mounts) > 0 {
		in.backlog.Push((&nested.Mounts{Paths: in.mounts}).Append(nil))
	}
	in.root, in.linked, in.begin = p, m.Linked, procfs.Began(pid)
	if m.Linked && m.Child {
		in.self, _ = in.session.registry.find(in.pid)
	}
	in.active.Add(1)
	in.session.queue.do(func() { in.living[p] = true })
	p.family.Store(&family{inner: in, up: p.family.Load()})
	in.backlog.Push(nested.AppendJoined(nil))
	return nil
}

// kill kills all processes whose events are sent. Those that are found begin to be, and
// so get what the others have got.
func (in *inner) kill() {
	in.told.Store(int32(unix.SIGKILL)) // before it is let go of
	in.killed.Store(true)
	if in.session.cmd.Lifecycle != LifecycleNotify {
		in.signalAll(unix.SIGKILL)
		return
	}
	in.findUnseen() // while their parents live, which tell whose they are
	failpoint.At("before-kill")
	in.signalAll(unix.SIGKILL)
	// A process may have forked between the two. It does not any more when it has got the
	// signal: copy_process of kernel/fork.c.
	const generations = 64 // there is no end to a chain of processes that fork faster
	for range generations {
		ask(in.session.owner, func(r chan<- bool) message { return msgSignalled{r} })
		if in.findUnseen() == 0 {
			return
		}
	}
}

// processToServe returns a process of the session, nil for one that is none. It may not
// have made a call yet.
func (r *receiver) processToServe(pid int) *process {
	p, _ := r.registry.find(pid)
	if p == nil {
		st, err := procfs.ReadStatus(pid)
		if err != nil || st.TGID != pid {
			return nil
		}
		if parent, _ := r.registry.find(st.PPID); parent == nil {
			return nil
		}
		r.mu.Lock()
		p, _ = r.processOf(pid)
		r.mu.Unlock()
	}
	if p == nil || p.pid != pid {
		return nil
	}
	return p
}

// mayFollow reports whether an inner fstrace may have the events of a process: one of its
// own user, or any if it is root, that sees the same files and numbers as this process.
func (in *inner) mayFollow(pid int) error {
	if in.uid != 0 && !isOwn(pid, in.uid) {
		return fmt.Errorf("process %d is another user's", pid)
	}
	for _, name := range []string{"ns/mnt", "ns/pid", "root"} {
		if theirs, own := procfs.ReadLink(pid, name), procfs.ReadLink(unix.Getpid(), name); theirs == "" || theirs != own {
			return fmt.Errorf("process %d has another %s: its paths and numbers mean something else there", pid, name)
		}
	}
	return nil
}

// isOwn reports whether a process is a user's alone.
func isOwn(pid, uid int) bool {
	st, err := procfs.ReadStatus(pid)
	return err == nil && st.UIDs == [...]int{uid, uid, uid, uid}
}

// check ends the service if that was asked for, and the time has come. It is the
// consumer's.
func (in *inner) check() {
	switch {
	case !in.finishing, !in.rootEnded, in.over.Load():
	case len(in.living) == 0 && in.session.cmd.Lifecycle == LifecyclePtrace:
		in.finish()
	case !in.settling:
		in.settling = true
		in.settle()
	}
}

// settle waits for the ends of processes that are about to end: nobody has told of them
// yet. Those that are not followed may have to be asked for. It is the consumer's.
func (in *inner) settle() {
	const (
		unfollowed = 200 * time.Millisecond // as at the end of a session: session_end.go
		followed   = 20 * time.Millisecond
	)
	wait := followed
	if len(in.living) == 0 {
		wait = 0
	}
	for p := range in.living {
		if _, known := in.session.registry.find(p.pid); !known {
			wait = unfollowed
		}
	}
	s := in.session
	time.AfterFunc(wait, func() {
		ask(s.owner, func(r chan<- bool) message { return msgSettle{reply: r} })
		if s.cmd.Lifecycle == LifecycleNotify {
			in.findUnseen()
		}
		s.queue.do(func() {
			switch {
			case !in.awaitsAll || len(in.living) == 0:
				in.finish()
			case !in.over.Load():
				in.settle()
			}
		})
	})
}

// finish says that all events have been sent. It is the consumer's.
func (in *inner) finish() {
	if in.over.Swap(true) {
		return
	}
	var m nested.Done
	if !in.awaitsAll {
		for p := range in.living {
			exe, argv := in.session.registry.program(p)
			m.Left = append(m.Left, nested.Left{PID: p.pid, Exe: exe, Argv: argv})
		}
		slices.SortFunc(m.Left, func(a, b nested.Left) int { return a.PID - b.PID })
	}
	m.Gaps = in.gaps.list()
	in.backlog.Push(m.Append(nil))
}

// signalAll sends a signal to all processes whose events are sent.
func (in *inner) signalAll(sig unix.Signal) {
	in.session.owner.mail.send(msgSignalFamily{in, sig})
}

func (m msgSignalFamily) tell(o *owner) {
	m.inner.told.Store(int32(m.sig))
	for p := range o.handles {
		if p.family.Load().isIn(m.inner) {
			o.sendFor(m.inner, p, m.sig)
		}
	}
	o.mail.bePrompt()
}

// sendFor signals a process, if an inner fstrace could do that itself: kill(2).
func (o *owner) sendFor(in *inner, p *process, sig unix.Signal) {
	if in.uid == 0 || isOwn(p.pid, in.uid) {
		_ = o.send(p, sig) // the only error is that it has ended
	}
}

// gap notes that an inner fstrace's record may miss something.
func (in *inner) gap(reason events.Reason, pid int, detail string) {
	if in.gaps.count() < maxGaps {
		in.gaps.add(reason, pid, detail[:min(len(detail), maxGapDetail)])
	}
}
