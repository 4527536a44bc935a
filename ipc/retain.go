package ipc

import (
	"slices"
	"time"
)

// What is kept of sessions that have ended: at most so many, for so long, and with
// those that run no more than so many bytes. One that somebody follows is kept for him
// past the first two limits, not past the third: a client that does not read must not
// fill the disk.

// remembered is how many sessions that are not kept any more are still known by name.
const remembered = 4096

// register makes a session known by its id.
func (s *Server) register(n *session, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sessions[id] = n
	s.statistics.SessionsTotal++
}

// forget undoes what start did, for a session that did not come about.
func (s *Server) forget(n *session) {
	s.mu.Lock()
	delete(s.sessions, n.id())
	delete(s.running, n)
	s.mu.Unlock()
	s.poke()
}

// sessionEnded moves a session from those that run to those that are kept.
func (s *Server) sessionEnded(n *session) {
	id := n.id()
	s.mu.Lock()
	delete(s.running, n)
	if id != "" {
		s.kept = append(s.kept, n)
	}
	s.mu.Unlock()
	s.logEnd(n)
	s.sweep()
	s.poke()
}

// sweep drops what need not be retained any longer.
func (s *Server) sweep() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	over := len(s.kept) - s.config.Limits.RetainSessions
	retain := time.Duration(s.config.Limits.RetainSeconds) * time.Second
	next := time.Duration(0)
	s.kept = slices.DeleteFunc(s.kept, func(n *session) bool {
		followed, ended := n.keep()
		left := retain - now.Sub(ended)
		switch {
		case followed:
			over--
			return false
		case over > 0 || left <= 0:
			over--
			s.dropLocked(n)
			return true
		}
		if next == 0 || left < next {
			next = left
		}
		return false
	})
	if s.timer != nil {
		s.timer.Stop()
	}
	if next > 0 && !s.closed {
		s.timer = time.AfterFunc(next, s.sweep)
	}
}

// evict gives up the session that ended first, one that nobody follows if there is
// one, and reports whether there was any.
func (s *Server) evict() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	every := func(*session) bool { return true }
	return s.evictLocked(unfollowed) || s.evictLocked(every)
}

func unfollowed(n *session) bool {
	followed, _ := n.keep()
	return !followed
}

// evictFollowed gives up the session that ended first of those that somebody follows and
// does not read.
func (s *Server) evictFollowed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.evictLocked(func(n *session) bool { return n.spool.stalled() })
}

// makeRoom gives up the session that ended first of those that nobody follows, or else
// what has been read of sessions that run.
func (s *Server) makeRoom() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.evictLocked(unfollowed) {
		return true
	}
	trimmed := false
	for n := range s.running {
		if n.spool != nil && n.spool.trim() {
			trimmed = true
		}
	}
	return trimmed
}

// evictLocked gives up the first kept session for which may returns true. The caller
// holds mu.
func (s *Server) evictLocked(may func(*session) bool) bool {
	i := slices.IndexFunc(s.kept, may)
	if i < 0 {
		return false
	}
	s.dropLocked(s.kept[i])
	s.kept = slices.Delete(s.kept, i, i+1)
	return true
}

// dropLocked gives up a session that has ended. The caller holds mu.
func (s *Server) dropLocked(n *session) {
	id := n.id()
	delete(s.sessions, id)
	if len(s.forgotten) >= remembered {
		delete(s.forgottenIDs, s.forgotten[0])
		s.forgotten = s.forgotten[1:]
	}
	s.forgotten = append(s.forgotten, id)
	s.forgottenIDs[id] = true
	n.drop()
	s.pokeLocked()
}

// find returns the session with an id.
func (s *Server) find(id string) (*session, error) {
	if id == "" {
		return nil, invalidParameter("session")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.sessions[id]; n != nil {
		return n, nil
	}
	if s.forgottenIDs[id] {
		return nil, s.gone(id)
	}
	return nil, newError(ErrNoSuchSession, "session", id)
}

// gone is the error for a session that is not kept any more.
func (s *Server) gone(id string) *Error {
	return newError(ErrReplayGone, "session", id, "first", 0, "message",
		"the record of session "+id+" is not kept any more: see fstraced --retain-sessions, --retain-time and --spool-bytes")
}
