package ipc

import (
	"encoding/json"
	"errors"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/fstrace/fstrace/tracer"
)

// dispatch answers a call. What it returns as an *Error is the answer.
func (s *Server) dispatch(r *request) error {
	name, ok := strings.CutPrefix(r.Method, Interface+".")
	if !ok {
		return s.dispatchService(r)
	}
	if r.sibling && (name == "Run" || name == "Check") {
		return newError(ErrNotPermitted, "message", "no server runs or checks anything for another")
	}
	switch name {
	case "Run":
		return s.methodRun(r)
	case "Subscribe":
		return s.methodSubscribe(r)
	case "List":
		return s.methodList(r)
	case "GetManifest":
		return s.methodManifest(r)
	case "Monitor":
		return s.methodMonitor(r)
	case "GetRecord":
		return s.methodRecord(r)
	case "Cancel":
		return s.methodCancel(r)
	case "Signal":
		return s.methodSignal(r)
	case "Check":
		return s.methodCheck(r)
	case "Info":
		return s.methodInfo(r)
	case "Statistics":
		return s.methodStatistics(r)
	}
	return newError(ErrMethodNotFound, "method", r.Method)
}

// dispatchService answers varlink's own questions.
func (s *Server) dispatchService(r *request) error {
	name, ok := strings.CutPrefix(r.Method, ServiceInterface+".")
	if !ok {
		dot := max(0, strings.LastIndexByte(r.Method, '.'))
		return newError(ErrInterfaceNotFound, "interface", r.Method[:dot])
	}
	switch name {
	case "GetInfo":
		if err := decodeParameters(r.Parameters, &struct{}{}); err != nil {
			return err
		}
		return r.reply(map[string]any{
			"vendor": "fstrace", "product": "fstraced", "version": s.config.Version,
			"url": "https://github.com/fstrace/fstrace", "interfaces": []string{ServiceInterface, Interface},
		})
	case "GetInterfaceDescription":
		var p struct {
			Interface string `json:"interface"`
		}
		if err := decodeParameters(r.Parameters, &p); err != nil {
			return err
		}
		schema, ok := map[string]string{Interface: Schema, ServiceInterface: serviceSchema}[p.Interface]
		if !ok {
			return newError(ErrInterfaceNotFound, "interface", p.Interface)
		}
		return r.reply(map[string]string{"description": schema})
	}
	return newError(ErrMethodNotFound, "method", r.Method)
}

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
	s.mu.Lock()
	list := make([]*session, 0, len(s.sessions))
	for _, n := range s.sessions {
		if label == nil || *label == n.label {
			list = append(list, n)
		}
	}
	s.mu.Unlock()
	infos := make([]SessionInfo, 0, len(list))
	for _, n := range list {
		infos = append(infos, n.info())
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
	n, err := s.find(p.Session)
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
	n, err := s.find(p.Session)
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
	out.SessionsRunning, out.SessionsKept = len(s.running), len(s.kept)
	out.Connections = len(s.conns)
	list := make([]*session, 0, len(s.sessions))
	for _, n := range s.sessions {
		list = append(list, n)
	}
	s.mu.Unlock()
	for _, n := range list {
		n.mu.Lock()
		out.Subscribers += n.subscribers
		n.mu.Unlock()
	}
	out.EventsTotal = s.events.Load()
	out.SpoolBytes, out.HeapBytes = s.spools.InUse(), memory.HeapInuse
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
