package ipc

import (
	"slices"
	"sync"
)

// A gate limits how much memory the requests that are dealt with take together. A request
// that finds too little waits; those that wait are let in in their order. A request that
// waits must not hold a part already, or all might wait for each other.
type gate struct {
	limit int64

	mu    sync.Mutex
	used  int64
	queue []*gateWaiter
}

type gateWaiter struct {
	n    int64
	open chan struct{}
}

// freeWeight is what needs no gate: most requests.
const freeWeight = 32 << 10

func newGate(limit int64) *gate { return &gate{limit: limit} }

// enter waits until n bytes may be taken, and takes them. It gives up when gone is
// closed.
func (g *gate) enter(n int64, gone <-chan struct{}) error {
	if n > g.limit {
		return newError(ErrTooMuchMemory, "limit", g.limit)
	}
	g.mu.Lock()
	if len(g.queue) == 0 && g.used+n <= g.limit {
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
	return errBrokenOff
}

// leave gives n bytes back.
func (g *gate) leave(n int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.used -= n
	g.admit()
}

// admit lets in who fits. The caller holds mu.
func (g *gate) admit() {
	for len(g.queue) > 0 && g.used+g.queue[0].n <= g.limit {
		g.used += g.queue[0].n
		close(g.queue[0].open)
		g.queue = g.queue[1:]
	}
}

func (g *gate) inUse() int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.used
}
