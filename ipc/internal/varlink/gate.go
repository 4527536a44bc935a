package varlink

import (
	"errors"
	"slices"
	"sync"
)

// A Gate limits how much memory the requests that are being answered take together. A
// request that finds too little waits, and the first that waits is the first to enter. A
// request that waits must not hold memory already, or all might wait for each other.
type Gate struct {
	Limit int64 // of all together, in bytes; set before use

	mu    sync.Mutex
	used  int64
	queue []*gateWaiter
}

type gateWaiter struct {
	n    int64
	open chan struct{}
}

// ErrTooHeavy means that one message needs more memory than the gate allows for all.
var ErrTooHeavy = errors.New("the message needs too much memory")

// freeWeight is what needs no gate: most requests.
const freeWeight = 32 << 10

// enter waits until n bytes may be taken, and takes them. It gives up when gone is
// closed.
func (g *Gate) enter(n int64, gone <-chan struct{}) error {
	if n > g.Limit {
		return ErrTooHeavy
	}
	g.mu.Lock()
	if len(g.queue) == 0 && g.used+n <= g.Limit {
		g.used += n
		g.mu.Unlock()
		return nil
	}
	w := &gateWaiter{n, make(chan struct{})}
	g.queue = append(g.queue, w)
	g.mu.Unlock()
	select {
	case <-w.open:
		return nil
	case <-gone:
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if at := slices.Index(g.queue, w); at >= 0 {
		g.queue = slices.Delete(g.queue, at, at+1)
	} else { // it was let in at the same time
		g.used -= n
	}
	g.admit()
	return ErrBrokenOff
}

// leave gives n bytes back.
func (g *Gate) leave(n int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.used -= n
	g.admit()
}

// admit opens the gate for those that fit. The caller holds mu.
func (g *Gate) admit() {
	for len(g.queue) > 0 && g.used+g.queue[0].n <= g.Limit {
		g.used += g.queue[0].n
		close(g.queue[0].open)
		g.queue = g.queue[1:]
	}
}

// InUse returns the sum of what has entered.
func (g *Gate) InUse() int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.used
}
