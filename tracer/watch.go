package tracer

import (
	"fmt"
	"time"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/tracer/internal/syscalls"
)

// glance is the interval at which the watch looks at the hands. A lookup takes long if it
// spans two glances.
const glance = 10 * time.Millisecond

// quiet is after how many glances without a call the watch sleeps. The next call then has
// to wake it.
const quiet = 100

// watch takes the lock from hands that wait for a long lookup, until no thread has the
// filter.
func (r *receiver) watch() {
	ticker := time.NewTicker(glance)
	defer ticker.Stop()
	var state, last uint64
	idle := 0
	for {
		select {
		case <-r.ended:
			return
		case <-ticker.C:
		}
		if id := r.keeper.last(); id != last || r.waits.Load() > 0 {
			last, idle = id, 0
		} else if idle++; idle > quiet && !r.isHandling() {
			ticker.Stop()
			r.dozing.Store(true)
			if r.keeper.last() == last {
				select {
				case <-r.rouse:
				case <-r.ended:
					return
				}
			}
			r.dozing.Store(false)
			ticker.Reset(glance)
			idle = 0
		}
		state = r.takeOver(state)
		if r.waits.Load() > 0 {
			r.giveUp()
		}
	}
}

// isHandling reports whether a hand is in a system call.
func (r *receiver) isHandling() bool {
	h := r.holder.Load()
	return h != nil && h.state.Load() != atWork
}

// takeOver takes the lock away from a hand that is in the same system call as at the last
// glance, and returns what the next one compares.
func (r *receiver) takeOver(before uint64) uint64 {
	h := r.holder.Load()
	if h == nil {
		return 0
	}
	state := h.state.Load()
	if state&(turnUnit-1) != waiting {
		return 0
	}
	if state != before || !h.state.CompareAndSwap(state, state&^waiting|away) {
		return state
	}
	// From here on the lock, which h has taken, is this thread's.
	r.stepAside(h)
	if m := h.observer.Slow(false); m != nil {
		h.at = m
	}
	r.mu.Unlock()
	return 0
}

// giveUp lets the calls through whose look-ups take too long. If the lock is not free
// now, it tries again at the next glance.
func (r *receiver) giveUp() {
	if !r.mu.TryLock() {
		return
	}
	defer r.mu.Unlock()
	for _, h := range r.aside {
		if h.glances++; !h.givenUp && !h.patient && h.glances > lookPatience {
			r.giveUpOn(h)
		}
	}
}

// giveUpOn lets a call through of which not all is known, and records what is.
func (r *receiver) giveUpOn(h *hand) {
	h.givenUp = true
	e, c, o := h.blank, h.caller, h.observer
	if h.at == nil {
		h.at = o.Slow(true)
	}
	if h.at != nil {
		h.at.Stuck++
	}
	if h.recorded != nil {
		r.recordings.giveUp(h.recorded)
		c = nil // it has not been looked at
	}
	if c == nil || e == nil { // it installs a filter, say
		r.incomplete.add(events.ReasonUnanswered, 0, fmt.Sprintf("call %d of thread %d", h.n.Data.NR, h.n.PID))
		_ = r.letThrough(&h.n)
		return
	}
	a := &e.access
	missed := o.GiveUp(c, a)
	h.miss(missed)
	r.blocked.note(c.TID, h.n.Data.NR, c.Sleeps(a, true))
	if c.Row.How == syscalls.ByExec {
		r.registry.setTrying(h.proc, a.First.End(), c.Followed)
	}
	e.of, e.family = h.proc, h.proc.family.Load()
	r.queue.reserve(e)
	err := r.listener.Continue(h.n.ID)
	r.queue.finish(e, err != nil)
}
