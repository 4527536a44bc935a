package ipc

import (
	"context"
	"slices"
	"time"
)

// poke says that something may have become idle.
func (s *Server) poke() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.changed)
	s.changed = make(chan struct{})
}

// idle tells whether nothing runs and nobody is connected, and returns a channel that
// is closed when that may have changed.
func (s *Server) idle() (bool, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.running) == 0 && len(s.conns) == 0, s.changed
}

// AwaitIdle waits until nothing has run and nobody has been connected for that long.
func (s *Server) AwaitIdle(ctx context.Context, d time.Duration) error {
	for {
		idle, changed := s.idle()
		var after <-chan time.Time
		if idle {
			after = time.After(d)
		}
		select {
		case <-changed:
		case <-after:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Shutdown ends the server: nothing more is run, sessions end by themselves or are
// cancelled, their clients get the end of their records, and connections are closed.
// Once ctx is done it cancels what still runs.
func (s *Server) Shutdown(ctx context.Context, cancel bool) {
	s.mu.Lock()
	s.draining = true
	listeners := slices.Clone(s.listeners)
	s.mu.Unlock()
	for _, l := range listeners {
		_ = l.Close()
	}
	if cancel {
		s.cancelAll()
	}
	stop := context.AfterFunc(ctx, s.cancelAll)
	defer stop()
	s.await(func() bool { return len(s.running) == 0 }, nil)
	s.await(func() bool {
		for c := range s.conns {
			if c.busy.Load() {
				return false
			}
		}
		return true
	}, time.After(s.config.Drain))
	s.mu.Lock()
	s.closed = true
	for c := range s.conns {
		_ = c.conn.Close()
	}
	if s.timer != nil {
		s.timer.Stop()
	}
	s.mu.Unlock()
	s.await(func() bool { return len(s.conns) == 0 }, nil)
	for s.evict() {
	}
}

// await waits until a condition holds, or a time has come.
func (s *Server) await(holds func() bool, give <-chan time.Time) {
	for {
		s.mu.Lock()
		ok, changed := holds(), s.changed
		s.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-give:
			return
		}
	}
}

func (s *Server) cancelAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n := range s.running {
		go n.cancel(s.config.Grace)
	}
}
