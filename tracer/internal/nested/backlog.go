package nested

import (
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// A Budget is how many bytes the backlogs of a session may hold together.
type Budget struct {
	Limit int64
	used  atomic.Int64
}

// A Backlog is what will be sent to an inner fstrace. A caller that adds to it waits only
// for one that reads, if slowly: the events of a command must not come faster, for good,
// than they are read. One that does not read is given up.
type Backlog struct {
	budget *Budget
	w      io.Writer
	// Patience is how long Add waits for minRead bytes to be read.
	patience time.Duration

	mu      sync.Mutex
	pending []byte
	held    int64 // of the budget
	lost    bool  // nothing more is taken
	sealed  bool
	work    sync.Cond
	space   chan struct{}
	sent    atomic.Int64
	done    chan struct{}
}

const (
	// floor is what each backlog may hold in any case.
	floor = 256 << 10
	// minRead is what an inner fstrace has to read while others wait for it.
	minRead = 64 << 10
	// piece is how much is written at once.
	piece = 64 << 10
)

// NewBacklog returns a backlog that is written to w.
func NewBacklog(w io.Writer, b *Budget, patience time.Duration) *Backlog {
	l := &Backlog{budget: b, w: w, patience: patience, space: make(chan struct{}, 1), done: make(chan struct{})}
	l.work.L = &l.mu
	go l.write()
	return l
}

// Add adds a message, and reports whether it was taken. When one was not, none is from
// then on. Messages are added by one goroutine at a time, other than Push's. They are
// written from Flush on.
func (l *Backlog) Add(message []byte) bool {
	for {
		ok, full := l.add(message, false)
		if !full {
			return ok
		}
		l.Flush()
		before := l.sent.Load()
		timer := time.NewTimer(l.patience)
		select {
		case <-l.space:
			timer.Stop()
			continue
		case <-timer.C:
		}
		if l.sent.Load()-before < minRead {
			l.mu.Lock()
			l.lost = true
			l.mu.Unlock()
			return false
		}
	}
}

// Push adds a short message whether there is room or not, and wakes the writer. It does
// not wait.
func (l *Backlog) Push(message []byte) {
	l.add(message, true)
	l.Flush()
}

// Flush has written what was added. To wake the writer for each message would cost more
// than the rest of the work.
func (l *Backlog) Flush() { l.work.Signal() }

func (l *Backlog) add(message []byte, anyway bool) (ok, full bool) {
	n := int64(len(message))
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.sealed, l.lost && !anyway:
		return false, false
	case !anyway && l.held > 0 && l.held+n > floor && l.budget.used.Load()+n > l.budget.Limit:
		return false, true
	}
	l.held += n
	l.budget.used.Add(n)
	l.pending = append(l.pending, message...)
	if len(l.pending) >= piece {
		l.work.Signal()
	}
	return true, false
}

// Lost reports whether a message was not taken.
func (l *Backlog) Lost() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lost
}

// Seal says that nothing will be added. Done is closed when all is written, or
// cannot be.
func (l *Backlog) Seal() {
	l.mu.Lock()
	l.sealed = true
	l.work.Signal()
	l.mu.Unlock()
}

// Done is closed when all is written that was added before Seal, or when nothing more can
// be.
func (l *Backlog) Done() <-chan struct{} { return l.done }

// Sent is how many bytes have been written.
func (l *Backlog) Sent() int64 { return l.sent.Load() }

// write writes what was added, until it is sealed, or writing fails.
func (l *Backlog) write() {
	defer close(l.done)
	var batch []byte
	for {
		l.mu.Lock()
		for len(l.pending) == 0 && !l.sealed {
			l.work.Wait()
		}
		if len(l.pending) == 0 {
			l.mu.Unlock()
			return
		}
		batch, l.pending = l.pending, batch[:0]
		l.mu.Unlock()
		for rest := batch; len(rest) > 0; {
			n, err := l.w.Write(rest[:min(len(rest), piece)])
			l.release(int64(n))
			rest = rest[n:]
			if err != nil {
				l.abandon(int64(len(rest)))
				return
			}
		}
		if cap(batch) > 4*piece {
			batch = nil
		}
	}
}

func (l *Backlog) release(n int64) {
	l.mu.Lock()
	l.held -= n
	l.mu.Unlock()
	l.budget.used.Add(-n)
	l.sent.Add(n)
	select {
	case l.space <- struct{}{}:
	default:
	}
}

// abandon gives up what cannot be written: n bytes that were about to be, and all others.
func (l *Backlog) abandon(n int64) {
	l.mu.Lock()
	n += int64(len(l.pending))
	l.pending, l.sealed = nil, true
	l.mu.Unlock()
	l.release(n)
}
