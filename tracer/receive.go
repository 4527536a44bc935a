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
func (r *hand) handle(n *seccomp.Notification) error {
	row, abi := r.index.Find(&n.Data)
	tid := int(n.PID)
	r.notified.Add(1)
	switch {
	case row == nil:
		r.incomplete.add(events.ReasonForeignABI, tid, fmt.Sprintf("call %d of architecture %#x", n.Data.NR, n.Data.Arch))
		return r.letThrough(n)
	case row.How == syscalls.ByDenial:
		return r.ring(n, row)
	case tid == 0:
		r.incomplete.add(events.ReasonUntraced, 0, "a thread of a pid namespace beside fstrace's own")
		return r.letThrough(n)
	}
	proc, followed := r.processOf(tid)
	switch {
	case proc == nil:
		return r.letThrough(n) // it was killed
	case row.How == syscalls.ByPtrace:
		return r.ptraceRequest(n, proc, followed)
	case row.How == syscalls.BySeccomp && isJoinCall(&n.Data):
		return r.welcome(n)
	case row.How == syscalls.ByPrctl && uint32(n.Data.Args[0]) == unix.PR_SET_CHILD_SUBREAPER:
		proc.adopts.Store(true)
		return r.letThrough(n)
	case row.How == syscalls.ByPrctl && uint32(n.Data.Args[0]) == unix.PR_SET_SYSCALL_USER_DISPATCH:
		r.recordings.restricts(proc) // calls from the recorder's address would be dispatched
		return r.letThrough(n)
	case row.How == syscalls.BySeccomp, row.How == syscalls.ByPrctl:
		r.recordings.restricts(proc)
		r.inspectFilter(n, proc, row, abi)
		return r.letThrough(n)
	case !followed && r.registry.wasUnsure(proc):
		r.executed(proc)
	}
	if r.blank == nil {
		r.blank = new(entry)
	}
	e := r.blank
	r.proc = proc
	r.call = observe.Call{
		TID: tid, PID: proc.pid, PPID: proc.ppid, Followed: followed, Dir: &proc.dir,
		Row: row, ABI: abi, Args: n.Data.Args, Source: &r.memory,
	}
	c := &r.call
	r.caller = c
	if r.recordings != nil {
		if answered, err := r.inject(n, c, proc); answered {
			return err
		}
		r.recordings.before(r.observer, r, c)
	}
	observed := r.observer.Observe(c, &e.access)
	r.recordings.observed(r.observer, r, c, &e.access, proc)
	r.blocked.note(tid, n.Data.NR, c.Sleeps(&e.access, observed))
	if !observed {
		return r.letThrough(n)
	}
	e.of, e.family = proc, proc.family.Load()
	if r.guard != nil || e.family.wantGuard() {
		r.patient = true
		e.access.Guarded(func(op events.Op, path string, info events.FileInfo) { r.guarded(e.family, op, path, info) })
		r.patient = false
	}
	if row.How == syscalls.ByExec {
		r.registry.setTrying(proc, e.access.First.End(), followed)
		r.registry.setRunning(proc, e.access.Running)
	}
	r.blank = r.queue.reserve(e)
	err := r.reply(n, proc)
	// A successful reply proves that the caller was there all the time: what was
	// read by its thread id was its own.
	r.queue.finish(e, err != nil)
	if r.recordings != nil {
		r.recordings.look(r.observer, r) // what was collected and could wait
	}
	if errors.Is(err, seccomp.ErrGone) {
		return nil
	}
	return err
}

// guarded calls the guards, which may have much to read.
func (r *hand) guarded(f *family, op events.Op, path string, info events.FileInfo) {
	if r.guard != nil {
		r.Enter()
		r.guard(op, path, info)
		r.Leave()
	}
	r.guardInners(f, op, path, info)
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
