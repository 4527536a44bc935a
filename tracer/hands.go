package tracer

import (
	"errors"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/seccomp"
	"github.com/fstrace/fstrace/tracer/internal/observe"
	"github.com/fstrace/fstrace/tracer/internal/procfs"
	"github.com/fstrace/fstrace/tracer/internal/resolve"
	"golang.org/x/sys/unix"
)

// A hand is a thread that handles notified calls. One at a time receives them.
//
// To handle a call is to look at files, and that may take as long as a process likes that
// serves them: a FUSE server that the command has started answers only when its own calls
// are continued. So no look-up may stand between a notification and the ability to
// answer others. The hand that handles a call holds the receiver's lock, and marks each
// system call that may take long (Enter, Leave). If one does, the watch (watch.go) takes
// the lock away and has another hand receive; the first waits for the lock when it is
// back, and goes on where it was. Where a wait is likely the hand steps aside of its own
// accord. It is the way in which Go's scheduler treats threads in system calls.
//
// A look-up that is not answered within lookPatience is given up: the watch lets the call
// through, and records it with state unknown. The hand ends when it is back.
type hand struct {
	*receiver
	observer *observe.Observer
	blank    *entry        // for the next access
	call     observe.Call  // that is handled
	recorded *recordedCall // that is looked at before it
	caller   *observe.Call // the same; nil for none of which an access could be made
	proc     *process      // of the caller
	memory   procfs.Memory
	n        seccomp.Notification
	tid      int32
	wake     chan struct{} // receive again
	held     *uint64       // where the keeper finds the call that is looked after; nil for nowhere

	// state is atWork, or waiting or away in the system call that turn numbers.
	state atomic.Uint64
	turn  uint64

	// Of a hand that is away; it belongs to who holds the lock.
	glances  int                  // of the watch, since it left
	at       *resolve.ServedMount // where; nil if that is not known
	patient  bool                 // it must be waited for
	givenUp  bool
	isLeader bool
}

// States of a hand, in the lowest bits of hand.state.
const (
	atWork   uint64 = iota // it has the lock, or no call
	waiting                // in a system call that may take long, with the lock
	away                   // the same, without the lock
	turnUnit = 4
)

const (
	// lookPatience is how many glances of the watch a look-up may take, which is two
	// seconds. They are counted, so that the time does not count in which fstrace itself
	// was stopped. The calling thread would mostly wait for the same answer.
	lookPatience = 200
	// maxAway is how many hands may be away before look-ups at slow mounts are given up
	// at once. Each is a thread.
	maxAway = 64
)

// Enter must be called before a system call that may take long, and Leave after it.
func (h *hand) Enter() {
	if h != nil {
		h.turn += turnUnit
		h.state.Store(h.turn | waiting)
	}
}

// Leave waits for the lock if it was taken away meanwhile. It does not return if the call
// has been given up.
func (h *hand) Leave() {
	if h != nil && !h.state.CompareAndSwap(h.turn|waiting, atWork) {
		h.regain()
	}
}

// EnterAt is Enter for a look at a canonical path. It reports whether there may be one:
// not where the file system has failed to answer before.
func (h *hand) EnterAt(s *resolve.Served, path []byte) bool {
	if h == nil {
		return true
	}
	m := s.Of(path)
	switch {
	case m == nil:
		h.Enter()
	case m.Stuck > 0 || len(h.aside) >= maxAway:
		h.miss(string(path))
		return false
	default:
		h.at = m
		h.turn += turnUnit
		h.state.Store(h.turn | away)
		h.stepAside(h)
		h.mu.Unlock()
	}
	return true
}

// regain waits for the lock.
func (h *hand) regain() {
	h.mu.Lock()
	if i := slices.Index(h.aside, h); i >= 0 {
		h.aside = slices.Delete(h.aside, i, i+1)
		h.waits.Store(int32(len(h.aside)))
	}
	h.hold(0)
	if h.givenUp {
		if h.at != nil {
			if h.at.Stuck--; h.at.Stuck == 0 {
				h.common.Answers() // it may be waited for again, like any other
			}
		}
		h.mu.Unlock()
		runtime.Goexit()
	}
	h.at = nil
	h.state.Store(atWork)
	h.holder.Store(h)
}

// stepAside has another hand receive, as h is away or about to be. The caller holds the
// lock on behalf of h.
func (r *receiver) stepAside(h *hand) {
	h.glances = 0
	h.aside = append(h.aside, h)
	h.waits.Store(int32(len(h.aside)))
	h.hold(h.n.ID)
	if h.isLeader {
		h.isLeader = false
		r.appoint()
	}
}

// hold reports to the keeper a call that is neither answered nor the last.
func (h *hand) hold(id uint64) {
	if h.held != nil {
		atomic.StoreUint64(h.held, id)
	}
}

// appoint makes an idle hand, or a new one, the receiver.
func (r *receiver) appoint() {
	if n := len(r.idle); n > 0 {
		h := r.idle[n-1]
		r.idle = r.idle[:n-1]
		h.isLeader = true
		h.wake <- struct{}{}
		return
	}
	h := &hand{receiver: r, wake: make(chan struct{}, 1), isLeader: true}
	h.observer, h.memory.Marker = observe.New(r.common, h), h
	h.held = r.keeper.slot(r.hands)
	r.hands++
	go h.run()
}

// run receives and handles calls, when it is this hand's turn to. It locks its thread for
// good.
func (h *hand) run() {
	runtime.LockOSThread()
	h.tid = int32(unix.Gettid())
	defer func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.observer.Close()
	}()
	for h.receive() {
		select {
		case <-h.wake:
		case <-h.ended:
			return
		}
	}
}

// receive handles calls until another hand receives them, and reports whether this one
// may be needed again.
func (h *hand) receive() bool {
	for {
		h.leader.Store(h.tid)
		switch err := h.listener.Receive(&h.n); {
		case err == nil:
		case errors.Is(err, seccomp.ErrHangup):
			h.end()
			return false
		default:
			h.lost(&h.n, err)
			return false
		}
		atomic.StoreUint64(h.keeper.lastID, h.n.ID)
		if h.dozing.Load() {
			signal(h.rouse)
		}
		leads, err := h.answer(&h.n)
		if err != nil {
			h.lost(&h.n, err)
			return false
		}
		if !leads {
			return true
		}
	}
}

// wakeLeader ends the hand that receives, when no thread has the filter any more. Before
// Linux 6.6 only a signal wakes it: the one by which the Go runtime preempts a thread,
// which does no harm. It is repeated because the hand may not be asleep yet. A program
// that ignores this signal leaves it asleep.
func (r *receiver) wakeLeader() {
	const patience, pause = time.Second, time.Millisecond
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		_ = unix.Tgkill(unix.Getpid(), int(r.leader.Load()), unix.SIGURG)
		select {
		case <-r.ended:
			return
		case <-time.After(pause):
		}
	}
	r.end()
}

// end is called when no thread has the filter any more.
func (r *receiver) end() { r.ending.Do(func() { close(r.ended) }) }

// answer handles a call, or lets it through unseen if the session is over. It reports
// whether this hand is still the one who receives.
func (h *hand) answer(n *seccomp.Notification) (leads bool, err error) {
	h.mu.Lock()
	defer func() { // but by Goexit
		if !h.givenUp {
			h.caller = nil
			if leads = h.isLeader; !leads {
				h.observer.Close()
				h.idle = append(h.idle, h)
			}
			h.mu.Unlock()
		}
	}()
	if h.holder.Load() != h {
		h.holder.Store(h)
	}
	if h.retired {
		return true, h.letThrough(n)
	}
	return true, h.handle(n)
}

// miss notes that a look-up was given up.
func (h *hand) miss(path string) {
	pid := 0
	if h.caller != nil {
		pid = h.caller.PID
	}
	h.incomplete.add(events.ReasonUnanswered, pid, path+": "+procfs.ErrUnanswered.Error())
}
