package tracer

import (
	"sync"
	"time"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/tracer/internal/observe"
)

// A queue passes accesses and process events from the receiver threads and the tracer
// thread, which must not wait, to the consumer, which makes events of them.
//
// Its order is the order of the record: an entry gets its place before its call is
// continued (reserve). After that it becomes final, or is dropped because the caller was
// killed before the call ran (finish).
type queue struct {
	mu      sync.Mutex
	entries []*entry
	free    []*entry
	space   sync.Cond
	closed  bool
	size    int  // of events of the outer fstrace that are not recycled yet
	idle    bool // the consumer waits for a final entry
	// early are the entries of recorded calls that had not returned, by their numbers:
	// those that the consumer has not taken.
	early map[uint64]*entry

	wake  chan struct{}
	full  chan struct{}
	timer *time.Timer // the consumer's
}

// An entry is one access, or one step of a process, or what the consumer is to do when it
// comes to it.
type entry struct {
	access  observe.Access
	process *events.Event // instead of access
	then    func()        // instead of access
	of      *process      // whose it is; nil if no inner session gets it
	family  *family       // of that process, when the entry took its place
	size    int           // of an event of the outer fstrace
	number  uint64        // of a recorded call that had not returned
	final   bool
	dropped bool
}

const (
	// queueLimit is how many entries may wait before calls are held up: a consumer
	// that is slow for good must slow the command down, not fill the memory.
	queueLimit = 1 << 14
	// outerLimit is how many bytes of events of the outer fstrace may wait.
	outerLimit = 8 << 20
	// lull is how long the consumer lets entries gather before it takes them:
	// waking it for each would cost more than the rest of the work.
	lull = 2 * time.Millisecond
	// patience is how many lulls without an entry go by before the consumer has to be
	// woken for the next one: it is the receiver who pays for that.
	patience = 4
	// enough entries end the lull.
	enough = 1 << 9
)

func newQueue() *queue {
	q := &queue{wake: make(chan struct{}, 1), full: make(chan struct{}, 1), timer: time.NewTimer(0)}
	q.space.L = &q.mu
	return q
}

// reserve gives e the next place in the record, and returns another entry for the
// next access. It waits while the queue is full.
func (q *queue) reserve(e *entry) (blank *entry) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.entries) >= queueLimit && !q.closed {
		q.space.Wait()
	}
	q.entries = append(q.entries, e)
	return q.blank()
}

// place gives a new entry the next place in the record. It never waits.
func (q *queue) place() *entry {
	q.mu.Lock()
	defer q.mu.Unlock()
	e := q.blank()
	q.entries = append(q.entries, e)
	return e
}

// mayWithdraw is called for an entry that has its place, of a recorded call that has not
// returned.
func (q *queue) mayWithdraw(e *entry, number uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.early == nil {
		q.early = make(map[uint64]*entry)
	}
	e.number, q.early[number] = number, e
}

// withdraw drops the entry of a recorded call that its process makes again, as a notified
// one, unless the consumer has it already.
func (q *queue) withdraw(number uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if e := q.early[number]; e != nil {
		e.dropped = true
		delete(q.early, number)
	}
}

// blank returns an entry that was taken back, or a new one. The queue is locked.
func (q *queue) blank() *entry {
	n := len(q.free)
	if n == 0 {
		return new(entry)
	}
	e := q.free[n-1]
	q.free = q.free[:n-1]
	return e
}

// finish makes a reserved entry final. dropped means that its call has not run.
func (q *queue) finish(e *entry, dropped bool) {
	q.mu.Lock()
	e.final, e.dropped = true, e.dropped || dropped
	idle := q.idle
	q.idle = false
	n := len(q.entries)
	q.mu.Unlock()
	if idle {
		signal(q.wake)
	}
	if n >= enough {
		signal(q.full)
	}
}

// process adds a step of a process. It never waits: the tracer thread must not.
func (q *queue) process(p *process, e *events.Event) {
	f := p.family.Load()
	q.add(func(en *entry) { en.process, en.of, en.family = e, p, f })
}

// do makes the consumer call f in the order of the queue. It never waits.
func (q *queue) do(f func()) { q.add(func(en *entry) { en.then = f }) }

func (q *queue) add(fill func(*entry)) {
	en := q.place()
	fill(en)
	q.finish(en, false)
}

// addOuter adds an event of size bytes that the outer fstrace has sent. It waits while
// the queue is full.
func (q *queue) addOuter(e *events.Event, size int) {
	en := &entry{process: e, size: size}
	q.mu.Lock()
	for q.size > outerLimit && !q.closed {
		q.space.Wait()
	}
	q.size += size
	q.mu.Unlock()
	q.reserve(en)
	q.finish(en, false)
}

// close says that nothing will be added any more.
func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.space.Broadcast()
	q.mu.Unlock()
	signal(q.wake)
	signal(q.full)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// take appends to batch the entries that are final and have none before them that is not
// before them. It waits for at least one, and returns false when the queue is
// closed and empty.
func (q *queue) take(batch []*entry) ([]*entry, bool) {
	for quiet := 0; ; quiet++ {
		q.gather()
		q.mu.Lock()
		n := 0
		for n < len(q.entries) && q.entries[n].final {
			if e := q.entries[n]; e.number != 0 {
				delete(q.early, e.number)
			}
			n++
		}
		if n > 0 {
			batch = append(batch, q.entries[:n]...)
			rest := copy(q.entries, q.entries[n:])
			clear(q.entries[rest:])
			q.entries = q.entries[:rest]
			q.space.Broadcast()
			q.mu.Unlock()
			return batch, true
		}
		if q.closed && len(q.entries) == 0 {
			q.mu.Unlock()
			return batch, false
		}
		q.idle = quiet >= patience || q.closed
		idle := q.idle
		q.mu.Unlock()
		if idle {
			<-q.wake
		}
	}
}

// gather waits for more entries, for a short time. There will be none in a queue that
// is closed.
func (q *queue) gather() {
	q.mu.Lock()
	closed := q.closed
	q.mu.Unlock()
	if closed {
		return
	}
	q.timer.Reset(lull)
	select {
	case <-q.timer.C:
	case <-q.full:
	}
}

// recycle takes back entries that were taken.
func (q *queue) recycle(batch []*entry) {
	size := 0
	for _, e := range batch {
		size += e.size
		*e = entry{}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if size > 0 {
		q.size -= size
		q.space.Broadcast()
	}
	q.free = append(q.free, batch...)
}
