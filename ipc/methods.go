package ipc

import (
	"encoding/json"
	"errors"
	"os"
	"runtime"
	"time"

	"github.com/fstrace/fstrace/tracer"
)

func (s *Server) methodList(r *request) error {
	var p wireLabel
	if err := decodeParameters(r.Parameters, &p); err != nil {
		return err
	}
	out := wireSessions{Sessions: s.list(p.Label)}
	if !r.sibling {
		out.Sessions = append(out.Sessions, s.siblingSessions(p, r.gone)...)
	}
	sortSessions(out.Sessions)
	return r.reply(out)
}

// list lists the sessions that have a label, or all.
func (s *Server) list(label *string) []SessionInfo {
	infos := []SessionInfo{}
	for _, n := range s.registry.list() {
		if label == nil || *label == n.label {
			infos = append(infos, n.info())
		}
	}
	return infos
}

func (s *Server) methodCancel(r *request) error {
	var p wireCancel
	if err := decodeParameters(r.Parameters, &p); err != nil {
		return err
	}
	grace := 10 * time.Second
	if p.GraceMs != nil {
		if grace = time.Duration(*p.GraceMs) * time.Millisecond; !validMilliseconds(*p.GraceMs) {
			return invalidParameter("graceMs")
		}
	}
	n, err := s.registry.find(p.Session)
	if err != nil {
		return err
	}
	if n.isDone() {
		return newError(ErrSessionEnded, "session", p.Session)
	}
	s.config.Log.Info("cancel", "session", p.Session, "pid", r.peer.PID)
	n.cancel(grace)
	return r.reply(struct{}{})
}

func (s *Server) methodSignal(r *request) error {
	var p wireSignal
	if err := decodeParameters(r.Parameters, &p); err != nil {
		return err
	}
	sig, ok := validSignal(p.Signal)
	if !ok {
		return invalidParameter("signal")
	}
	n, err := s.registry.find(p.Session)
	if err != nil {
		return err
	}
	if n.isDone() {
		return newError(ErrSessionEnded, "session", p.Session)
	}
	if err := n.signal(sig, p.Group); err != nil {
		return asError(err)
	}
	return r.reply(struct{}{})
}

func (s *Server) methodInfo(r *request) error {
	if err := decodeParameters(r.Parameters, &struct{}{}); err != nil {
		return err
	}
	return r.reply(ServerInfo{
		Version: s.config.Version, PID: os.Getpid(), UID: os.Geteuid(), Started: stamp(s.began),
		Socket: s.config.Socket, LaunchVersion: tracer.LaunchVersion, Limits: s.config.Limits,
		Features: features,
	})
}

func (s *Server) methodStatistics(r *request) error {
	if err := decodeParameters(r.Parameters, &struct{}{}); err != nil {
		return err
	}
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	s.mu.Lock()
	out := s.statistics
	out.Connections = len(s.conns)
	s.mu.Unlock()
	out.SessionsRunning, out.SessionsKept, out.SessionsTotal = s.registry.count()
	for _, n := range s.registry.list() {
		n.mu.Lock()
		out.Subscribers += n.subscribers
		n.mu.Unlock()
	}
	out.EventsTotal = s.events.Load()
	out.SpoolBytes, out.HeapBytes = s.spools.InUse(), memory.HeapInuse-uint64(len(s.config.Ballast))
	return r.reply(out)
}

// asError makes an error that the client gets of any other.
func asError(err error) error {
	var launch *tracer.LaunchError
	return newError(ErrCannotRun, "message", err.Error(), "ended", errors.As(err, &launch))
}

// validMilliseconds keeps durations from overflowing.
func validMilliseconds(ms int64) bool {
	return ms >= 0 && ms <= int64((1<<63-1)/time.Millisecond)
}

// isObject reports whether a parameter was given.
func given(raw json.RawMessage) bool { return len(raw) > 0 && string(raw) != "null" }
