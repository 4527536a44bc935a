package tracer

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/seccomp"
	"github.com/fstrace/fstrace/tracer/internal/nested"
	"github.com/fstrace/fstrace/tracer/internal/procfs"
	"golang.org/x/sys/unix"
)

// inners are the fstraces inside of the session that this one serves: package nested says
// how. They cannot listen themselves, so they get the events of their commands from here,
// in the order of the record, and their guards are asked from here.
//
// They are a part of the command, and not trusted more than that. One gets the events of
// processes of its own user. One that does not read, or does not answer, is given up: its
// record is incomplete then, and nothing here waits for it.
type inners struct {
	session *session
	budget  nested.Budget
	active  atomic.Int32 // how many are served

	mu     sync.Mutex
	list   map[*inner]bool // all that have a socket
	closed bool
	ended  sync.WaitGroup
	mounts []string // that are served from inside of the session
}

const (
	// maxInners is how many there may be at a time. Each has two descriptors here.
	maxInners = 256
	// backlogLimit is how many bytes of events may wait for all of them together.
	backlogLimit = 8 << 20
	// readPatience is how long one that does not read is waited for, once, when there is no
	// room for its events; joinPatience how long one may take to say what it wants.
	readPatience = 2 * time.Second
	joinPatience = 10 * time.Second
	// maxGaps and maxGapDetail bound what is kept for the end of a record.
	maxGaps      = 256
	maxGapDetail = 4 << 10
)

func newInners(s *session) *inners {
	return &inners{session: s, budget: nested.Budget{Limit: backlogLimit}, list: make(map[*inner]bool)}
}

// serving reports whether any is served.
func (n *inners) serving() bool { return n != nil && n.active.Load() > 0 }

// An inner is a fstrace inside of the session, from the call by which it asks for a socket.
type inner struct {
	*inners
	pid     int // of the process that asked, or of a thread of it
	uid     int // effective
	conn    *os.File
	backlog *nested.Backlog
	root    *process // the command's; nil before it has joined
	linked  bool
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

// isJoinCall reports whether a call is one by which a fstrace looks for one above it.
func isJoinCall(d *seccomp.Data) bool {
	return uint32(d.Args[0]) == nested.Magic && uint32(d.Args[1]) == nested.Version && d.Args[2] == nested.Check
}

// welcome answers the call of a fstrace that looks for one above it.
func (r *hand) welcome(n *seccomp.Notification) error {
	if n.PID == 0 { // of a pid namespace beside fstrace's own
		return r.letThrough(n)
	}
	file, err := r.inners.open(int(n.PID))
	if err != nil {
		return r.letThrough(n) // EINVAL: as without a fstrace
	}
	r.Enter() // the caller has to be woken for it
	err = r.listener.AnswerWithFile(n.ID, file)
	r.Leave()
	unix.Close(file)
	if err == nil || errors.Is(err, seccomp.ErrGone) {
		return nil
	}
	return r.letThrough(n) // before Linux 5.9, or the caller has no descriptor to spare
}

// open begins to serve the process of a thread, and returns the descriptor for it.
func (n *inners) open(tid int) (file int, err error) {
	st, err := procfs.ReadStatus(tid)
	if err != nil {
		return -1, err
	}
	const effective = 1
	uid := st.UIDs[effective]
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if err := unix.SetNonblock(pair[0], true); err != nil {
		unix.Close(pair[0])
		unix.Close(pair[1])
		return -1, err
	}
	in := &inner{inners: n, pid: tid, uid: uid, conn: os.NewFile(uintptr(pair[0]), "inner"), living: make(map[*process]bool)}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed || len(n.list) >= maxInners {
		in.conn.Close()
		unix.Close(pair[1])
		return -1, unix.EMFILE
	}
	n.list[in] = true
	n.ended.Add(1)
	go in.run()
	return pair[1], nil
}

// run serves one to its end.
func (in *inner) run() {
	defer in.ended.Done()
	in.backlog = nested.NewBacklog(in.conn, &in.budget, readPatience)
	_ = in.conn.SetReadDeadline(time.Now().Add(joinPatience))
	err := in.receive()
	in.leave(err)
}

// leave ends the service. One that is refused is still told so.
func (in *inner) leave(err error) {
	in.inners.mu.Lock()
	delete(in.list, in)
	ending := in.closed
	in.inners.mu.Unlock()
	joined, finished := in.root != nil, in.over.Swap(true)
	if joined {
		in.active.Add(-1)
	}
	if joined && !finished && in.linked && !ending {
		in.signalAll(unix.SIGKILL)
	}
	in.backlog.Seal()
	if err != nil {
		<-in.backlog.Done()
	}
	in.conn.Close()
	<-in.backlog.Done()
	in.guard.close()
}

// died kills the command of an inner fstrace whose process p was and has ended. It is called
// for each process that is followed, before the parent can end the session.
func (n *inners) died(p *process) {
	if !n.serving() {
		return
	}
	n.each(nil, func(in *inner) {
		if in.self == p && !in.over.Load() {
			in.signalAll(unix.SIGKILL)
		}
	})
}

// errRefused says that an inner fstrace is not served, and does not know that yet.
var errRefused = errors.New("refused")

// receive handles what the inner fstrace says. It returns nil when that has closed its end,
// or has sent what it must not.
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
		in.signalAll(unix.Signal(m.Signal))
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
	in.root, in.linked = p, m.Linked
	if m.Linked && m.Child {
		in.self, _ = in.session.registry.find(in.pid)
	}
	in.active.Add(1)
	in.session.queue.do(func() { in.living[p] = true })
	p.family.Store(&family{inner: in, up: p.family.Load()})
	in.backlog.Push(nested.AppendJoined(nil))
	return nil
}

// processToServe returns a process of the session, nil for one that is none. It may not have
// made a call yet.
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

// event sends an event to those in whose families its process is. It is the consumer's.
func (n *inners) event(f *family, p *process, e *events.Event) {
	if f == nil {
		return
	}
	for ; f != nil; f = f.up {
		in := f.inner
		if in.over.Load() {
			continue
		}
		in.buf = nested.AppendEvent(in.buf[:0], e)
		if !in.backlog.Add(in.buf) {
			in.gap(events.ReasonNested, 0, "the outer fstrace has given up: its events were not read in time")
		}
		switch e.Op {
		case events.OpStart:
			if !p.endUnseen.Load() {
				in.living[p] = true
			}
		case events.OpExit:
			delete(in.living, p)
			in.rootEnded = in.rootEnded || p == in.root
			in.check()
		}
	}
}

// flush has written what was sent to all. It is the consumer's.
func (n *inners) flush() {
	if n.serving() {
		n.each(nil, func(in *inner) { in.backlog.Flush() })
	}
}

// check ends the service if that was asked for, and the time has come. It is the
// consumer's.
func (in *inner) check() {
	switch {
	case !in.finishing, !in.rootEnded, in.over.Load():
	case len(in.living) == 0:
		in.finish()
	case !in.settling:
		in.settling = true
		in.settle()
	}
}

// settle waits for the ends of processes that are about to end: nobody has told of them yet.
// Those that are not followed may have to be asked for. It is the consumer's.
func (in *inner) settle() {
	const (
		unfollowed = 200 * time.Millisecond // as at the end of a session: session_end.go
		followed   = 20 * time.Millisecond
	)
	wait := followed
	for p := range in.living {
		if _, known := in.session.registry.find(p.pid); !known {
			wait = unfollowed
		}
	}
	s := in.session
	time.AfterFunc(wait, func() {
		ask(s.owner, func(r chan<- bool) message { return msgSettle{reply: r} })
		s.queue.do(func() {
			switch {
			case !in.awaitsAll:
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

// signalAll has a signal sent to all processes whose events are sent.
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

// miss is called with what this session's record may miss: those that it concerns may
// miss it, too.
func (n *inners) miss(reason events.Reason, pid int, detail string) {
	if !n.serving() {
		return
	}
	var of *family
	if pid != 0 {
		if p, _ := n.session.registry.find(pid); p != nil {
			if of = p.family.Load(); of == nil {
				return // of none of them
			}
		}
	}
	n.each(of, func(in *inner) { in.gap(reason, pid, detail) })
}

// each calls f with those that are served, and in whose family one is. Nil stands for all.
func (n *inners) each(of *family, f func(in *inner)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for in := range n.list {
		if in.root != nil && (of == nil || of.isIn(in)) {
			f(in)
		}
	}
}

// unseen notes that nobody will tell of a process's end.
func (n *inners) unseen(p *process) {
	p.endUnseen.Store(true)
	if f := p.family.Load(); f != nil {
		n.session.queue.do(func() {
			for ; f != nil; f = f.up {
				delete(f.inner.living, p)
				f.inner.check()
			}
		})
	}
}

// setMounts notes which mounts are served from inside of the session.
func (n *inners) setMounts(paths []string) {
	n.mu.Lock()
	n.mounts = paths
	n.mu.Unlock()
	if n.serving() {
		m := (&nested.Mounts{Paths: paths}).Append(nil)
		n.each(nil, func(in *inner) { in.backlog.Push(m) })
	}
}

// close ends the service for all, at the session's end. Who has not got its Done has a
// command that outlives the session: its socket reports that.
func (n *inners) close() {
	if n == nil {
		return
	}
	n.mu.Lock()
	n.closed = true
	list := make([]*inner, 0, len(n.list))
	for in := range n.list {
		list = append(list, in)
	}
	n.mu.Unlock()
	for _, in := range list {
		in.backlog.Seal()
		for sent := int64(-1); sent != in.backlog.Sent(); {
			sent = in.backlog.Sent()
			select {
			case <-in.backlog.Done():
			case <-time.After(readPatience):
			}
		}
		in.conn.Close()
	}
	n.ended.Wait()
}
