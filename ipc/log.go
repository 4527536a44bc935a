package ipc

import (
	"cmp"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// refusals are logged once a second at most: another user can connect as often as he
// likes, and must not fill the log.
type refusals struct {
	mu         sync.Mutex
	next       time.Time
	suppressed int
}

// logRefused logs that a peer is not served, if it is time.
func (s *Server) logRefused(p Peer, err error) {
	r := &s.refusals
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if now.Before(r.next) {
		r.suppressed++
		return
	}
	s.config.Log.Warn("refused another user", "uid", p.UID, "pid", p.PID, "error", err, "unsaid", r.suppressed)
	r.next, r.suppressed = now.Add(time.Second), 0
}

// logStart and logEnd log the begin and the end of a session. What a command is called
// by, and no more of its arguments: they may hold secrets.
func (s *session) logStart(r *request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.server.config.Log.Info("session begins", "session", s.header.Session, "command", cmp.Or(slices.Concat(s.header.Argv, []string{""})[0], "?"),
		"client", r.peer.PID, "adopted", s.launch != nil, "detached", s.detached)
}

func (s *session) logEnd(log *slog.Logger) {
	last, written := s.spool.count()
	s.mu.Lock()
	defer s.mu.Unlock()
	complete, code, sig := false, -1, ""
	if t := s.trailer; t != nil {
		complete, code, sig = t.Complete(), t.Exit.Code, t.Exit.Signal
	}
	log.Info("session ends", "session", s.header.Session, "exit", code, "signal", sig, "complete", complete,
		"events", last, "bytes", written, "error", s.result.Error)
}

func sortSessions(list []SessionInfo) {
	slices.SortFunc(list, func(a, b SessionInfo) int { return cmp.Compare(a.Session, b.Session) })
}
