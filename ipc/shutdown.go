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
	s.pokeLocked()
}

func (s *Server) pokeLocked() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// idle reports whether nothing runs and nobody is connected, and returns a channel that
// is closed when that may have changed.
func (s *Server) idle() (bool, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.running) == 0 && len(s.conns) == 0 && s.serving == 0, s.changed
}

// unused is idle, and that no record is kept either.
func (s *Server) unused() (bool, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.running) == 0 && len(s.conns) == 0 && s.serving == 0 && len(s.kept) == 0, s.changed
}

// AwaitIdle waits until there was no running session and no connection for the time d. It
// returns the error of ctx if ctx is done first.
func (s *Server) AwaitIdle(ctx context.Context, d time.Duration) error {
	return awaitLasting(ctx, d, s.idle)
}

// AwaitUnused is like AwaitIdle, but there must be no retained record either.
func (s *Server) AwaitUnused(ctx context.Context, d time.Duration) error {
	return awaitLasting(ctx, d, s.unused)
}

// awaitLasting waits until state has returned true all the time for d.
func awaitLasting(ctx context.Context, d time.Duration, state func() (bool, <-chan struct{})) error {
	for {
		idle, changed := state()
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

// shutdownPatience is how long Shutdown waits for what should come at once.
const shutdownPatience = 10 * time.Second

// Shutdown ends the server. It starts no more commands, waits for running sessions or
// cancels them, sends clients the end of their records, and closes all connections. When
// ctx is done or [Config.DrainTime] has passed, it cancels the sessions that still run.
//
// It waits for nothing without a deadline. It does not wait for a process that SIGKILL
// does not end, because it hangs in the kernel.
func (s *Server) Shutdown(ctx context.Context, cancel bool) {
	s.mu.Lock()
	s.draining = true
	listeners := slices.Clone(s.listeners)
	s.mu.Unlock()
	for _, l := range listeners {
		_ = l.Close()
	}
	ended := func() bool { return len(s.running) == 0 }
	if !cancel {
		over, stop := context.WithTimeout(ctx, s.config.DrainTime)
		s.await(over, ended)
		stop()
	}
	s.cancelAll()
	if !s.awaitFor(ended, s.config.Grace+shutdownPatience) {
		s.config.Log.Error("sessions do not end by SIGKILL: left behind")
	}
	s.spare.Close()
	s.mu.Lock()
	select {
	case <-s.ending: // a second call
	default:
		close(s.ending)
	}
	s.mu.Unlock()
	s.awaitFor(func() bool {
		for c := range s.conns {
			if c.busy.Load() {
				return false
			}
		}
		return true
	}, s.config.Drain)
	s.mu.Lock()
	s.closed = true
	for c := range s.conns {
		_ = c.conn.Close()
	}
	if s.timer != nil {
		s.timer.Stop()
	}
	s.mu.Unlock()
	if !s.awaitFor(func() bool { return len(s.conns) == 0 }, shutdownPatience) {
		s.config.Log.Error("connections do not end: left behind")
	}
	for s.evict() {
	}
}

// await waits until a condition holds, or ctx is done. It reports whether the condition
// holds.
func (s *Server) await(ctx context.Context, holds func() bool) bool {
	for {
		s.mu.Lock()
		ok, changed := holds(), s.changed
		s.mu.Unlock()
		if ok {
			return true
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}

// awaitFor is await for a time.
func (s *Server) awaitFor(holds func() bool, limit time.Duration) bool {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	return s.await(ctx, holds)
}

func (s *Server) cancelAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n := range s.running {
		go n.cancel(s.config.Grace)
	}
}
