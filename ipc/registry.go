package ipc

import (
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"
)

// A registry has the sessions of a server: those that run, and those that have ended and
// are retained. Limits has the limits of retained sessions: their number, their age, and
// the bytes of all spools. A session that a client follows is retained beyond the first
// two limits, but not beyond the third: a client that does not read must not fill the
// disk.
type registry struct {
	limits *Limits
	log    *slog.Logger
	// changed is called when the server may have become idle.
	changed func()

	mu           sync.Mutex
	running      map[*session]bool   // those that have not ended
	sessions     map[string]*session // those that have begun, and are kept
	kept         []*session          // those that have ended, in that order
	forgotten    []string            // the ids of those that were
	forgottenIDs map[string]bool
	total        uint64 // that have begun
	timer        *time.Timer
	draining     bool // no more sessions are started
	closed       bool // the timer is not set any more
}

// remembered is how many ids of dropped sessions are kept, for the right error.
const remembered = 4096

// reserve counts a session in, if there is room for it.
func (g *registry) reserve(n *session) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch limit := g.limits.Sessions; {
	case g.draining:
		return newError(ErrShuttingDown)
	case len(g.running) >= limit:
		return newError(ErrTooManySessions, "limit", limit)
	}
	g.running[n] = true
	return nil
}

// register makes a session known by its id.
func (g *registry) register(n *session, id string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sessions[id] = n
	g.total++
}

// forget removes a session that could not be started.
func (g *registry) forget(n *session) {
	g.mu.Lock()
	delete(g.sessions, n.id())
	delete(g.running, n)
	g.mu.Unlock()
	g.changed()
}

// ended moves a session from those that run to those that are kept.
func (g *registry) ended(n *session) {
	id := n.id()
	g.mu.Lock()
	delete(g.running, n)
	if id != "" {
		g.kept = append(g.kept, n)
	}
	g.mu.Unlock()
	n.logEnd(g.log)
	g.sweep()
	g.changed()
}

// sweep drops the sessions that are beyond the limits.
func (g *registry) sweep() {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	over := len(g.kept) - g.limits.RetainSessions
	retain := time.Duration(g.limits.RetainSeconds) * time.Second
	next := time.Duration(0)
	g.kept = slices.DeleteFunc(g.kept, func(n *session) bool {
		followed, ended := n.keep()
		left := retain - now.Sub(ended)
		switch {
		case followed:
			over--
			return false
		case over > 0 || left <= 0:
			over--
			g.dropLocked(n)
			return true
		}
		if next == 0 || left < next {
			next = left
		}
		return false
	})
	if g.timer != nil {
		g.timer.Stop()
	}
	if next > 0 && !g.closed {
		g.timer = time.AfterFunc(next, g.sweep)
	}
}

// evict gives up the session that ended first, one that no client follows if there is
// one, and reports whether there was any.
func (g *registry) evict() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	every := func(*session) bool { return true }
	return g.evictLocked(unfollowed) || g.evictLocked(every)
}

func unfollowed(n *session) bool {
	followed, _ := n.keep()
	return !followed
}

// evictFollowed gives up the session that ended first of those that a client follows and
// does not read.
func (g *registry) evictFollowed() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.evictLocked(func(n *session) bool { return n.spool.stalled() })
}

// makeRoom gives up the session that ended first of those that no client follows, or else
// what has been read of sessions that run.
func (g *registry) makeRoom() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.evictLocked(unfollowed) {
		return true
	}
	trimmed := false
	for n := range g.running {
		if n.spool != nil && n.spool.trim() {
			trimmed = true
		}
	}
	return trimmed
}

// evictLocked gives up the first kept session for which may returns true. The caller
// holds mu.
func (g *registry) evictLocked(may func(*session) bool) bool {
	i := slices.IndexFunc(g.kept, may)
	if i < 0 {
		return false
	}
	g.dropLocked(g.kept[i])
	g.kept = slices.Delete(g.kept, i, i+1)
	return true
}

// dropLocked gives up a session that has ended. The caller holds mu.
func (g *registry) dropLocked(n *session) {
	id := n.id()
	delete(g.sessions, id)
	if len(g.forgotten) >= remembered {
		delete(g.forgottenIDs, g.forgotten[0])
		g.forgotten = g.forgotten[1:]
	}
	g.forgotten = append(g.forgotten, id)
	g.forgottenIDs[id] = true
	n.drop()
	g.changed()
}

// find returns the session with an id.
func (g *registry) find(id string) (*session, error) {
	if id == "" {
		return nil, invalidParameter("session")
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if n := g.sessions[id]; n != nil {
		return n, nil
	}
	if g.forgottenIDs[id] {
		return nil, g.gone(id)
	}
	return nil, newError(ErrNoSuchSession, "session", id)
}

// gone returns the error for a session that is not kept any more.
func (g *registry) gone(id string) *Error {
	return newError(ErrReplayGone, "session", id, "first", 0, "message",
		"the record of session "+id+" is not kept any more: see fstraced --retain-sessions, --retain-time and --spool-bytes")
}

// list returns the sessions that have begun and are kept.
func (g *registry) list() []*session {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Collect(maps.Values(g.sessions))
}

// count returns how many sessions run, how many have ended and are kept, and how many
// have begun since the start of the server.
func (g *registry) count() (running, kept int, total uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.running), len(g.kept), g.total
}

// drain makes reserve refuse new sessions.
func (g *registry) drain() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.draining = true
}

// cancel cancels the sessions that run.
func (g *registry) cancel(grace time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for n := range g.running {
		go n.cancel(grace)
	}
}

// close gives up all that is kept.
func (g *registry) close() {
	g.mu.Lock()
	g.closed = true
	if g.timer != nil {
		g.timer.Stop()
	}
	g.mu.Unlock()
	for g.evict() {
	}
}
