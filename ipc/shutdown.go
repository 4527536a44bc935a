package ipc

import (
	"context"
	"slices"
	"time"
)

// wake wakes those who wait for the server to become idle.
func (s *Server) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wakeLocked()
}

func (s *Server) wakeLocked() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// idle reports whether nothing runs and no client is connected, and returns a channel
// that is closed when that may have changed. The channel is older than the answer, so no
// change is missed.
func (s *Server) idle() (bool, <-chan struct{}) {
	s.mu.Lock()
	changed, connected := s.changed, len(s.conns) > 0 || s.serving > 0
	s.mu.Unlock()
	running, _, _ := s.registry.count()
	return running == 0 && !connected, changed
}

// unused is idle, and that no record is kept either.
func (s *Server) unused() (bool, <-chan struct{}) {
	idle, changed := s.idle()
	_, kept, _ := s.registry.count()
	return idle && kept == 0, changed
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
	s.registry.drain()
	for _, l := range listeners {
		_ = l.Close()
	}
	ended := func() bool {
		running, _, _ := s.registry.count()
		return running == 0
	}
	if !cancel {
		over, stop := context.WithTimeout(ctx, s.config.DrainTime)
		s.await(over, ended)
		stop()
	}
	s.registry.cancel(s.config.Grace)
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
	s.awaitFor(func() bool { return !s.answering() }, s.config.Drain)
	s.mu.Lock()
	s.closed = true
	for c := range s.conns {
		_ = c.conn.Close()
	}
	s.mu.Unlock()
	disconnected := func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.conns) == 0
	}
	if !s.awaitFor(disconnected, shutdownPatience) {
		s.config.Log.Error("connections do not end: left behind")
	}
	s.registry.close()
}

// answering reports whether a call is being answered.
func (s *Server) answering() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		if c.busy.Load() {
			return true
		}
	}
	return false
}

// await waits until a condition holds, or ctx is done. It reports whether the condition
// holds.
func (s *Server) await(ctx context.Context, holds func() bool) bool {
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		if holds() {
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
