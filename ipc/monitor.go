package ipc

import (
	"encoding/json"
	"sync"

	"github.com/fstrace/fstrace/ipc/internal/varlink"
)

// A monitor hears of sessions as they begin and end, for a client.
type monitor struct {
	server *Server
	label  *string // of the sessions that it wants, nil for all

	mu    sync.Mutex
	queue []notice
	lost  bool
	wake  chan struct{} // holds a token when there is something to do
}

// A notice is of one session: one of this server, or a sibling's.
type notice struct {
	session *session
	sibling *wireNotice
	ended   bool
}

// monitorQueue is how many notices may wait for a client. A slower one is notified that
// it has missed some.
const monitorQueue = 1024

// tell sends a notice of a session to all monitors.
func (s *Server) tell(n *session, ended bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for m := range s.monitors {
		if m.label == nil || *m.label == n.label {
			m.add(notice{session: n, ended: ended})
		}
	}
}

func (m *monitor) add(n notice) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.queue) >= monitorQueue {
		m.lost = true
	} else {
		m.queue = append(m.queue, n)
	}
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// take returns what has gathered, and whether there was more.
func (m *monitor) take() (list []notice, lost bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	list, lost = m.queue, m.lost
	m.queue, m.lost = nil, false
	return list, lost
}

// methodMonitor sends a client notices of the sessions that there are, and of each that
// begins or ends from then on.
func (s *Server) methodMonitor(r *request) error {
	var p wireLabel
	if err := decodeParameters(r.Parameters, &p); err != nil {
		return err
	}
	if !r.More {
		return newError(ErrExpectedMore)
	}
	m := &monitor{server: s, label: p.Label, wake: make(chan struct{}, 1)}
	s.mu.Lock()
	s.monitors[m] = true
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.monitors, m)
	}()
	r.releaseMessage()
	// What begins from now on is in the list, or has a notice, or both.
	list := s.list(p.Label)
	sortSessions(list)
	if err := r.notice(wireNotice{Sessions: &list}); err != nil {
		return err
	}
	stop := make(chan struct{})
	defer close(stop)
	var siblings followed
	for {
		if !r.sibling {
			siblings.follow(m, stop)
		}
		ending := false
		select {
		case <-s.ending: // nothing more comes after what is there
			ending = true
		default:
		}
		list, lost := m.take()
		for _, n := range list {
			if err := r.notice(n.wire()); err != nil {
				return err
			}
		}
		if lost {
			yes := true
			if err := r.notice(wireNotice{Lost: &yes}); err != nil {
				return err
			}
		}
		if ending {
			return r.reply(wireNotice{})
		}
		select {
		case <-m.wake:
		case <-s.ending:
		case <-r.gone:
			return varlink.ErrBrokenOff
		}
	}
}

func (n *notice) wire() wireNotice {
	if n.sibling != nil {
		return *n.sibling
	}
	info := n.session.info()
	if n.ended {
		return wireNotice{Ended: &info}
	}
	return wireNotice{Begun: &info}
}

// notice sends a reply that others follow.
func (r *request) notice(n wireNotice) error {
	parameters, err := varlink.Encode(n)
	if err != nil {
		return err
	}
	return r.send(varlink.Reply{Parameters: parameters, Continues: true})
}

// followed are the siblings whose notices a monitor gets.
type followed map[*sibling]bool

// follow follows those siblings that it does not follow yet.
func (f *followed) follow(m *monitor, stop <-chan struct{}) {
	for _, b := range m.server.listSiblings() {
		if (*f)[b] {
			continue
		}
		if *f == nil {
			*f = make(followed)
		}
		(*f)[b] = true
		go m.relay(b, stop)
	}
}

// relay passes on the notices of a sibling: its list as sessions that begin, and end.
func (m *monitor) relay(b *sibling, stop <-chan struct{}) {
	parameters, err := varlink.Encode(wireLabel{m.label})
	if err != nil {
		return
	}
	c, err := b.call(varlink.Call{Method: Interface + ".Monitor", Parameters: parameters, More: true}, stop, siblingPatience)
	if err != nil {
		m.server.config.Log.Debug("sibling", "error", err)
		return
	}
	defer c.close()
	for answer := c.reply; answer.Continues; { // the last says nothing
		var n wireNotice
		if err := json.Unmarshal(answer.Parameters, &n); err != nil {
			return
		}
		switch {
		case n.Sessions != nil:
			for i := range *n.Sessions {
				info := &(*n.Sessions)[i]
				m.add(notice{sibling: &wireNotice{Begun: info}})
				if info.State == "ended" {
					m.add(notice{sibling: &wireNotice{Ended: info}})
				}
			}
		default:
			m.add(notice{sibling: &n})
		}
		f, err := c.frames.Next()
		if err != nil {
			return
		}
		f.CloseFiles()
		answer = varlink.Reply{}
		if err := json.Unmarshal(f.Data, &answer); err != nil {
			return
		}
	}
}

// wakeMonitors has monitors look for new siblings. The caller holds mu.
func (s *Server) wakeMonitors() {
	for m := range s.monitors {
		select {
		case m.wake <- struct{}{}:
		default:
		}
	}
}
