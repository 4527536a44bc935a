package tracer

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/seccomp"
	"github.com/fstrace/fstrace/tracer/internal/observe"
	"github.com/fstrace/fstrace/tracer/internal/procfs"
	slots "github.com/fstrace/fstrace/tracer/internal/recorder"
	"github.com/fstrace/fstrace/tracer/internal/resolve"
	"github.com/fstrace/fstrace/tracer/internal/syscalls"
	"golang.org/x/sys/unix"
)

// A ring is where a process records its calls: slots.Ring. Package recorder goes by the
// name of what it keeps here, as the tests have a recorder of their own.
type ring interface {
	Drain(c *slots.Counter, begun bool, yield func(*slots.Record)) error
	Open(slots.Opening)
	Reclaim() int
	Suspect()
}

// recordings are the second source of accesses, beside notifications: the calls that
// processes have recorded themselves.
//
// Collecting gives calls their places in the queue: before each notified call, all that
// have returned, and before a call that may change something also those that have begun.
// So what a call made possible comes behind it, of whatever process: it had returned
// before. Within one collection, the numbers of the calls give the order.
//
// Looking is what is done for a notified call too, before the change that it precedes is
// let through. But what the caller was told counts, not what is there by then. A call
// that has not returned is looked at as a notified one is, and never waited for.
//
// Any goroutine may collect. The one that looks holds the receiver's lock.
type recordings struct {
	queue      *queue
	index      *syscalls.Index
	incomplete *incompleteness
	counter    *slots.Counter

	key     seccomp.Key
	filters int                // how many seccomp filters a process of the session starts with
	notable map[uint32]bool    // calls that may be recorded, by number
	modules map[string]*module // by path; who holds the receiver's lock has them
	libc    string             // the path of the last that was opened; the same
	moves   uint               // the observer's; the same

	mu         sync.Mutex
	sources    []*source
	found      []*recordedCall // they have their places, and are to be looked at
	looked     int             // how many of them were
	batch      []*recordedCall
	free       []*recordedCall
	recorded   uint64
	processes  int                // that have recorded calls
	begun      chan struct{}      // the first has begun to
	injections map[int]*injection // by thread: that it is to be stopped for
}

// A source is a process that records.
type source struct {
	ring ring
	proc *process
	dir  procfs.Place // where its relative paths begin: settled as long as they may be recorded
	// early are the calls that were looked at before they had returned, by their numbers.
	// They belong to who looks.
	early map[uint64]resolve.Result
	lost  bool
}

const (
	// maxEarly bounds how many calls a source may have that do not return.
	maxEarly = 1 << 10
	// maxUnanswered is how many of them are waited for: each has a slot.
	maxUnanswered = 32
)

// A recordedCall is one of a source.
type recordedCall struct {
	observe.Recorded
	*source
	number uint64
	again  bool   // it has its place; this is its answer, or says that it is made again
	void   bool   // it is made again, as a notified call
	entry  *entry // nil for one that has its place
}

// keep remembers what was found before a call has returned.
func (c *recordedCall) keep(found resolve.Result) {
	if len(c.early) >= maxEarly {
		clear(c.early)
	}
	c.early[c.number] = found
}

// drop ends the collecting from a source. The lock is held.
func (s *recordings) drop(src *source) {
	s.sources = slices.DeleteFunc(s.sources, func(o *source) bool { return o == src })
	src.closeRing()
}

// closeRing gives the slots up. A process that has them mapped keeps them.
func (src *source) closeRing() {
	if src == nil {
		return
	}
	if r, ok := src.ring.(*slots.Ring); ok {
		_ = r.Close() // it is mapped, and open
	}
}

// collect gives the calls that were recorded their places in the queue. It waits for
// nothing, and is safe for concurrent use.
func (s *recordings) collect(begun bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.sources) == 0 {
		return
	}
	s.batch = s.batch[:0]
	for _, src := range s.sources {
		err := src.ring.Drain(s.counter, begun, func(rec *slots.Record) { s.take(src, rec) })
		if err != nil && !src.lost {
			src.lost = true
			if src.proc.space != nil {
				src.proc.space.unfit = true
			}
			s.incomplete.add(events.ReasonOpaqueProcess, src.proc.pid, err.Error())
		}
		if len(src.early) > maxUnanswered {
			src.ring.Reclaim()
		}
	}
	if len(s.batch) == 0 {
		return
	}
	if len(s.sources) > 1 {
		slices.SortStableFunc(s.batch, func(a, b *recordedCall) int { return cmp.Compare(a.number, b.number) })
	}
	now := time.Now()
	for _, c := range s.batch {
		c.At = now
		if !c.again {
			s.recorded++
			c.entry = s.queue.place()
			c.entry.of, c.entry.family = c.proc, c.proc.family.Load()
			if !c.Returned {
				s.queue.mayWithdraw(c.entry, c.number)
			}
		} else if c.void {
			s.recorded--
		}
	}
	if s.looked == len(s.found) {
		s.found, s.looked = s.found[:0], 0
	}
	s.found = append(s.found, s.batch...)
}

// suspect has the next collection look at all slots, also of processes that have recorded
// nothing as far as the session's counter says.
func (s *recordings) suspect() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, src := range s.sources {
		src.ring.Suspect()
	}
}

// take adds a record to the batch.
func (s *recordings) take(src *source, rec *slots.Record) {
	c := s.blank()
	c.source, c.number, c.again, c.void, c.entry = src, rec.Number, rec.Again, rec.Void, nil
	c.PID, c.TID, c.ABI = src.proc.pid, src.proc.pid, s.index.Native()
	if rec.Thread != 0 {
		c.TID = int(rec.Thread)
	}
	c.Row = s.index.Row(c.ABI.Audit, rec.Call)
	copy(c.Args[:], rec.Args[:])
	c.Path, c.Dir = append(c.Path[:0], rec.Path...), src.dir
	c.Returned, c.Result, c.Info, c.HasInfo = rec.Returned, rec.Result, rec.Info, rec.HasInfo
	if c.Row == nil { // the recorder knows none that the table does not: a test says so
		s.incomplete.add(events.ReasonForeignABI, src.proc.pid, "a recorded call that is not in the table")
		return
	}
	s.batch = append(s.batch, c)
}

// maxBlank bounds the memory of calls that were looked at.
const maxBlank = 1 << 10

// blank returns a call to be filled. The lock is held.
func (s *recordings) blank() *recordedCall {
	n := len(s.free)
	if n == 0 {
		return new(recordedCall)
	}
	c := s.free[n-1]
	s.free = s.free[:n-1]
	return c
}

// look looks at the calls that were collected. It is for who holds the receiver's lock:
// the hand, nil for nobody who would be missed, and its observer.
func (s *recordings) look(o *observe.Observer, h *hand) {
	for c := s.next(nil); c != nil; c = s.next(c) {
		if c.entry == nil {
			switch found, ok := c.early[c.number]; {
			case c.void:
				s.queue.withdraw(c.number)
			case ok && c.Returned:
				o.Answer(&c.Recorded, found)
			}
			delete(c.early, c.number)
			continue
		}
		if h != nil {
			h.recorded = c
		}
		found := o.ObserveRecorded(&c.Recorded, &c.entry.access)
		if !c.Returned {
			c.keep(found)
		}
		if h != nil {
			h.recorded = nil
		}
		s.queue.finish(c.entry, false)
	}
}

// next takes the first of the calls that are to be looked at, and takes back one that
// was, nil for none.
func (s *recordings) next(last *recordedCall) (c *recordedCall) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if last != nil && len(s.free) < maxBlank {
		s.free = append(s.free, last)
	}
	if s.looked == len(s.found) {
		return nil
	}
	c, s.found[s.looked] = s.found[s.looked], nil
	s.looked++
	return c
}

// giveUp settles a call whose look-up is given up.
func (s *recordings) giveUp(c *recordedCall) {
	c.entry.access.Unknown()
	s.incomplete.add(events.ReasonUnanswered, c.proc.pid, string(c.Path)+": "+procfs.ErrUnanswered.Error())
	s.queue.finish(c.entry, false)
}

// before is called before a notified call is observed and takes its place. If the call
// changes nothing, what was collected is looked at when it has been continued.
func (s *recordings) before(o *observe.Observer, h *hand, c *observe.Call) {
	switch row := c.Row; {
	case row.Op == events.OpChdir, row.How == syscalls.ByNamespace, row.Has(syscalls.ChangesMounts):
		if h != nil && (row.How == syscalls.ByNamespace || row.Has(syscalls.ChangesRoot) || row.Has(syscalls.ChangesMounts)) {
			s.restricts(h.proc)
		}
		s.unsettle(func(src *source) bool { return src.proc.pid == c.PID })
	}
	change := mayChange(c.Row, &c.Args, c.ABI)
	s.collect(change)
	if change {
		s.look(o, h)
	}
}

// observed is called when a notified call has been observed, before it is continued.
func (s *recordings) observed(o *observe.Observer, h *hand, c *observe.Call, a *observe.Access, p *process) {
	if s == nil {
		return
	}
	if path := a.First.End(); c.Row.Opens() && isLibc(path) && a.First.State == events.StateFile && c.Followed {
		s.libc = path
	}
	if moves := o.Moves(); moves != s.moves { // a working directory may get another name
		s.moves = moves
		s.unsettle(func(*source) bool { return true })
		s.look(o, h)
		return
	}
	if dir, ok := o.Settled(c); ok {
		s.settle(p, dir)
	}
}

// mayChange reports whether a call may change what other calls find.
func mayChange(row *syscalls.Row, args *[6]uint64, abi *seccomp.ABI) bool {
	switch row.How {
	case syscalls.ByOpen:
		if row.Flags == syscalls.None {
			return true
		}
		const changing = unix.O_WRONLY | unix.O_RDWR | unix.O_CREAT | unix.O_TRUNC
		return row.Argument(args, row.Flags, abi)&changing != 0
	case syscalls.ByRefs:
		switch row.Op {
		case events.OpStat, events.OpReadlink, events.OpList:
			return row.Has(syscalls.ChangesMounts) || row.Has(syscalls.Unmounts)
		}
	}
	return true
}
