package tracer

import (
	"sync"
	"sync/atomic"
)

// blockedCalls are the threads whose last call has been continued and may now sleep,
// in the kernel, until a signal interrupts it: signal(7). Any other call that a
// signal finds interrupted was still waiting for its reply, and has not run. The
// receiver notes them, the tracer thread asks.
type blockedCalls struct {
	some  atomic.Bool // there are, or were: most commands have none
	mu    sync.Mutex
	calls map[int]uint32 // by thread, the call's number
}

// note notes a call that is about to be continued.
func (s *blockedCalls) note(tid int, number uint32, may bool) {
	if !may && !s.some.Load() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !may {
		delete(s.calls, tid)
		return
	}
	if s.calls == nil {
		s.calls = make(map[int]uint32)
	}
	s.calls[tid] = number
	s.some.Store(true)
}

// has reports whether the call that a thread is in may have been continued.
func (s *blockedCalls) has(tid int, number uint32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	noted, ok := s.calls[tid]
	return ok && noted == number
}
