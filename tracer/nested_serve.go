package tracer

import (
	"errors"
	"os"
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
	known   atomic.Bool  // there are images
	killed  atomic.Bool  // processes of one have been killed

	mu     sync.Mutex
	list   map[*inner]bool // all that have a socket
	closed bool
	ended  sync.WaitGroup
	images map[uint64]*family
	mounts []string // that are served from inside of the session
}

const (
	// maxInners is how many there may be at a time. Each has two descriptors here.
	maxInners = 256
	// backlogLimit is how many bytes of events may wait for all of them together.
	backlogLimit = 8 << 20
	// readPatience is how long one that does not read is waited for, once, when there is
	// no room for its events; joinPatience how long one may take to say what it wants.
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

// isJoinCall reports whether a call is one by which a fstrace looks for one above it.
func isJoinCall(d *seccomp.Data) bool {
	return uint32(d.Args[0]) == nested.Magic && uint32(d.Args[1]) == nested.Version && d.Args[2] == nested.Check
}

// welcome answers the call of a fstrace that looks for one above it.
func (h *hand) welcome(n *seccomp.Notification) error {
	if n.PID == 0 { // of a pid namespace beside fstrace's own
		return h.letThrough(n)
	}
	file, err := h.inners.open(int(n.PID))
	if err != nil {
		return h.letThrough(n) // EINVAL: as without a fstrace
	}
	h.Enter() // the caller has to be woken for it
	err = h.listener.AnswerWithFile(n.ID, file)
	h.Leave()
	unix.Close(file)
	if err == nil || errors.Is(err, seccomp.ErrGone) {
		return nil
	}
	return h.letThrough(n) // before Linux 5.9, or the caller has no descriptor to spare
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
	in.backlog = nested.NewBacklog(in.conn, &n.budget, readPatience) // close wants it, which may come before run
	n.list[in] = true
	n.ended.Add(1)
	go in.run()
	return pair[1], nil
}

// died kills the command of an inner fstrace whose process p was and has ended. It is
// called for each process that is followed, before the parent can end the session.
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

// each calls f with those that are served, and in whose family one is. Nil stands for
// all.
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
