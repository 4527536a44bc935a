package tracer

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/seccomp"
	"github.com/fstrace/fstrace/tracer/internal/observe"
	"github.com/fstrace/fstrace/tracer/internal/syscalls"
	"golang.org/x/sys/unix"
)

// A receiver is what the threads have in common that notified calls wait for (hands.go).
// Whatever they do between receiving and replying is paid by the command; the rest is the
// consumer's.
type receiver struct {
	listener   *seccomp.Listener
	index      *syscalls.Index
	common     *observe.Shared
	registry   *registry
	owner      *owner
	requests   *ptraceRequests
	blocked    *blockedCalls
	queue      *queue
	incomplete *incompleteness
	inners     *inners
	ioUring    IOUringPolicy
	guard      func(op events.Op, path string, info events.FileInfo) // nil for none
	lastCaller *process                                              // of the last access
	keeper     *keeper
	recordings *recordings // nil if no process records its own calls
	notified   atomic.Uint64
	err        error // after run

	mu      sync.Mutex // held while a call is handled
	retired bool
	hands   int     // how many there ever were
	idle    []*hand // that wait for their turn
	aside   []*hand // that wait for the kernel, without the lock
	ending  sync.Once
	ended   chan struct{} // closed when no thread has the filter any more
	leader  atomic.Int32  // the thread that receives

	// For the watch, without the lock.
	holder atomic.Pointer[hand] // who has the lock, or had it last
	waits  atomic.Int32         // how many are aside
	dozing atomic.Bool          // the watch is to be woken
	rouse  chan struct{}
}

// run receives until no thread has the filter any more.
func (r *receiver) run() {
	r.mu.Lock()
	r.appoint()
	r.mu.Unlock()
	if r.recordings != nil {
		go r.collectByClock()
	}
	r.watch()
	r.retire()
}

// retire ends the recording. The receiver cannot be made to leave the kernel as long
// as descendants have the filter: it goes on answering, beside the keeper, until
// they are gone or this process is.
func (r *receiver) retire() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.retired = true
	if r.recordings != nil {
		r.recordings.suspect()
		r.recordings.collect(true)
		r.recordings.look(observe.New(r.common, nil), nil) // no process is left that it could wait for
	}
	for _, h := range r.aside {
		if !h.givenUp {
			h.givenUp = true
			_ = r.letThrough(&h.n)
		}
	}
	for _, h := range r.idle {
		h.observer.Close()
	}
	if h := r.holder.Load(); h != nil && !h.givenUp {
		h.observer.Close()
	}
	r.common.Close()
}

// lost notes that notifications can be received no more, and goes on letting calls
// through: the command must not wait for answers that do not come.
func (r *receiver) lost(n *seccomp.Notification, err error) {
	r.err = err
	r.incomplete.add(events.ReasonLostListener, 0, err.Error())
	_ = r.letThrough(n) // if it is one that is not answered yet
	keepThrough(r.listener)
	r.end()
}

// handle looks at one call and lets it through. The error is for the listener as
// a whole; a caller that went away is none.
func (h *hand) handle(n *seccomp.Notification) error {
	row, abi := h.index.Find(&n.Data)
	tid := int(n.PID)
	h.notified.Add(1)
	switch {
	case row == nil:
		h.incomplete.add(events.ReasonForeignABI, tid, fmt.Sprintf("call %d of architecture %#x", n.Data.NR, n.Data.Arch))
		return h.letThrough(n)
	case row.How == syscalls.ByDenial:
		return h.ring(n, row)
	case tid == 0:
		h.incomplete.add(events.ReasonUntraced, 0, "a thread of a pid namespace beside fstrace's own")
		return h.letThrough(n)
	}
	proc, followed := h.processOf(tid)
	switch {
	case proc == nil:
		return h.letThrough(n) // it was killed
	case row.How == syscalls.ByPtrace:
		return h.ptraceRequest(n, proc, followed)
	case row.How == syscalls.BySeccomp && isJoinCall(&n.Data):
		return h.welcome(n)
	case row.How == syscalls.ByPrctl && uint32(n.Data.Args[0]) == unix.PR_SET_CHILD_SUBREAPER:
		proc.adopts.Store(true)
		return h.letThrough(n)
	case row.How == syscalls.ByPrctl && uint32(n.Data.Args[0]) == unix.PR_SET_SYSCALL_USER_DISPATCH:
		h.recordings.restricts(proc) // calls from the recorder's address would be dispatched
		return h.letThrough(n)
	case row.How == syscalls.BySeccomp, row.How == syscalls.ByPrctl:
		h.recordings.restricts(proc)
		h.inspectFilter(n, proc, row, abi)
		return h.letThrough(n)
	case !followed && h.registry.wasUnsure(proc):
		h.executed(proc)
	}
	if h.blank == nil {
		h.blank = new(entry)
	}
	e := h.blank
	h.proc = proc
	h.call = observe.Call{
		TID: tid, PID: proc.pid, PPID: proc.ppid, Followed: followed, Dir: &proc.dir,
		Row: row, ABI: abi, Args: n.Data.Args, Source: &h.memory,
	}
	c := &h.call
	h.caller = c
	if h.recordings != nil {
		if answered, err := h.inject(n, c, proc); answered {
			return err
		}
		h.recordings.before(h.observer, h, c)
	}
	observed := h.observer.Observe(c, &e.access)
	h.recordings.observed(h.observer, h, c, &e.access, proc)
	h.blocked.note(tid, n.Data.NR, c.Sleeps(&e.access, observed))
	if !observed {
		return h.letThrough(n)
	}
	e.of, e.family = proc, proc.family.Load()
	if h.guard != nil || e.family.wantGuard() {
		h.patient = true
		e.access.Guarded(func(op events.Op, path string, info events.FileInfo) { h.guarded(e.family, op, path, info) })
		h.patient = false
	}
	if row.How == syscalls.ByExec {
		h.registry.setTrying(proc, e.access.First.End(), followed)
		h.registry.setRunning(proc, e.access.Running)
	}
	h.blank = h.queue.reserve(e)
	err := h.reply(n, proc)
	// A successful reply proves that the caller was there all the time: what was
	// read by its thread id was its own.
	h.queue.finish(e, err != nil)
	if h.recordings != nil {
		h.recordings.look(h.observer, h) // what was collected and could wait
	}
	if errors.Is(err, seccomp.ErrGone) {
		return nil
	}
	return err
}

// guarded calls the guards, which may have much to read.
func (h *hand) guarded(f *family, op events.Op, path string, info events.FileInfo) {
	if h.guard != nil {
		h.Enter()
		h.guard(op, path, info)
		h.Leave()
	}
	h.guardInners(f, op, path, info)
}

func (r *receiver) letThrough(n *seccomp.Notification) error {
	if err := r.listener.Continue(n.ID); !errors.Is(err, seccomp.ErrGone) {
		return err
	}
	return nil
}

// reply lets an access's call through. The caller wakes up on this processor, which was
// its own: it has handed it over to this thread by its call. A process that calls just
// after another has comes from another processor more likely than not, and goes back to
// it: else two would share one processor, with the other idle, until the kernel sees
// that, which takes milliseconds.
func (r *receiver) reply(n *seccomp.Notification, p *process) error {
	if r.lastCaller != p {
		r.lastCaller = p
		return r.listener.ContinueWithoutSync(n.ID)
	}
	return r.listener.Continue(n.ID)
}

// ring answers the calls of io_uring by policy.
func (r *receiver) ring(n *seccomp.Notification, row *syscalls.Row) error {
	if r.ioUring == IOUringAllow {
		if row.Has(syscalls.MakesRing) {
			r.incomplete.add(events.ReasonIOURing, int(n.PID), "set up a ring, whose requests are not seen")
		}
		return r.letThrough(n)
	}
	if err := r.listener.Errno(n.ID, unix.ENOSYS); !errors.Is(err, seccomp.ErrGone) {
		return err
	}
	return nil
}
