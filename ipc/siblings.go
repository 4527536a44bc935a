package ipc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"time"

	"github.com/fstrace/fstrace/ipc/internal/varlink"
)

// Siblings are servers of the same user that have other groups. A user who has connected
// with several sets of groups has one for each, and sees the sessions of all of them from
// each: by kill(2) and ptrace(2) too, supplementary groups make no difference between
// processes of one user. What is done with groups stays where it is: no server runs or
// checks anything for another.
//
//	client ── call about a session ──▶ server ── the same call ──▶ sibling that has it
//	       ◀──────── replies ─────────        ◀──── replies ────

// A sibling is another server, and how to connect to it.
type sibling struct {
	dial func() (*net.UnixConn, error)
}

// siblingPatience is how long a sibling may take to say whether it has a session. Its
// user can stop it.
const siblingPatience = 5 * time.Second

// AddSibling adds a server of the same user, whose sessions clients of this server can
// then see. The function that it returns removes it again.
func (s *Server) AddSibling(dial func() (*net.UnixConn, error)) (remove func()) {
	b := &sibling{dial}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.siblings = append(s.siblings, b)
	s.wakeMonitors()
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.siblings = slices.DeleteFunc(s.siblings, func(other *sibling) bool { return other == b })
	}
}

// ServeSibling serves a connection from a sibling.
func (s *Server) ServeSibling(conn *net.UnixConn) { s.serveAs(conn, true) }

func (s *Server) listSiblings() []*sibling {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.siblings)
}

// A relayed call is one that a sibling answers.
type relayed struct {
	conn   *net.UnixConn
	frames *varlink.Reader
	first  varlink.Frame
	reply  varlink.Reply // that first holds
	stop   chan struct{}
}

// call sends a call to a sibling, and returns with the first reply. If gone is closed,
// the call ends.
func (b *sibling) call(q varlink.Call, gone <-chan struct{}, patience time.Duration) (*relayed, error) {
	conn, err := b.dial()
	if err != nil {
		return nil, err
	}
	c := &relayed{conn: conn, frames: varlink.NewReader(conn, maxReply, 1), stop: make(chan struct{})}
	go func() {
		select {
		case <-gone:
			conn.Close()
		case <-c.stop:
		}
	}()
	data, err := varlink.Encode(q)
	if err == nil {
		if patience > 0 {
			_ = conn.SetDeadline(time.Now().Add(patience))
		}
		err = varlink.Write(conn, data, nil)
	}
	if err == nil {
		c.first, err = c.frames.Next()
	}
	if err == nil {
		_ = conn.SetDeadline(time.Time{})
		err = json.Unmarshal(c.first.Data, &c.reply)
	}
	if err != nil {
		c.close()
		return nil, fmt.Errorf("sibling: %w", err)
	}
	return c, nil
}

func (c *relayed) close() {
	close(c.stop)
	c.first.CloseFiles()
	c.frames.Close()
	c.conn.Close()
}

// ask returns the first sibling's reply that does not say that there is no such session.
func (s *Server) ask(q varlink.Call, gone <-chan struct{}) (*relayed, error) {
	for _, b := range s.listSiblings() {
		c, err := b.call(q, gone, siblingPatience)
		switch {
		case err != nil:
			s.config.Log.Debug("sibling", "error", err)
		case c.reply.Error == ErrNoSuchSession.Name:
			c.close()
		default:
			return c, nil
		}
	}
	return nil, errNobody
}

// askOwner is ask for a call whose first reply may take as long as a session.
func (s *Server) askOwner(q varlink.Call, session string, gone <-chan struct{}) (*relayed, error) {
	for _, b := range s.listSiblings() {
		has := func(n SessionInfo) bool { return n.Session == session }
		if slices.ContainsFunc(s.sessionsOf(b, wireLabel{}, gone), has) {
			return b.call(q, gone, 0)
		}
	}
	return nil, errNobody
}

// errNobody says that no sibling has a session.
var errNobody = errors.New("no sibling has it")

// forward has a sibling answer a call about a session that is not here. If none has it,
// the answer is what it was.
func (s *Server) forward(r *request, answer error) error {
	if r.sibling || r.Oneway && r.More || !slices.Contains([]string{"Subscribe", "GetManifest", "GetRecord", "Cancel", "Signal"}, r.name()) {
		return answer
	}
	q := varlink.Call{Method: r.Method, Parameters: r.Parameters, More: r.More}
	var c *relayed
	var err error
	if r.name() == "GetRecord" {
		var p wireSessionName
		if err := decodeParameters(r.Parameters, &p); err != nil {
			return err
		}
		c, err = s.askOwner(q, p.Session, r.gone)
	} else {
		c, err = s.ask(q, r.gone)
	}
	if err != nil {
		return answer
	}
	defer c.close()
	r.releaseMessage()
	if r.Oneway {
		return nil
	}
	for f := c.first; ; {
		last := !bytes.HasSuffix(f.Data, []byte(`,"continues":true}`)) // as our server writes it
		err := varlink.Write(r.conn, f.Data, f.Files)
		varlink.CloseAll(f.Files)
		c.first.Files = nil
		if err != nil || last {
			return err
		}
		if f, err = c.frames.Next(); err != nil {
			return varlink.ErrBrokenOff // the sibling has ended, and the session with it
		}
	}
}

// siblingSessions lists the sessions of siblings.
func (s *Server) siblingSessions(p wireLabel, gone <-chan struct{}) (list []SessionInfo) {
	for _, b := range s.listSiblings() {
		list = append(list, s.sessionsOf(b, p, gone)...)
	}
	return list
}

func (s *Server) sessionsOf(b *sibling, p wireLabel, gone <-chan struct{}) []SessionInfo {
	parameters, err := varlink.Encode(p)
	if err != nil {
		return nil
	}
	c, err := b.call(varlink.Call{Method: Interface + ".List", Parameters: parameters}, gone, siblingPatience)
	if err != nil {
		s.config.Log.Debug("sibling", "error", err)
		return nil
	}
	defer c.close()
	var out wireSessions
	if err := json.Unmarshal(c.reply.Parameters, &out); err != nil {
		s.config.Log.Error("sibling", "error", err)
		return nil
	}
	return out.Sessions
}

// siblingManifest returns the manifest of a session that a sibling has, as a file. It is
// checked here, with the groups of the client that asks.
func (s *Server) siblingManifest(session string, gone <-chan struct{}) (*os.File, error) {
	parameters, err := varlink.Encode(wireGetManifest{session, true})
	if err != nil {
		return nil, err
	}
	c, err := s.ask(varlink.Call{Method: Interface + ".GetManifest", Parameters: parameters}, gone)
	if err != nil {
		return nil, newError(ErrNoSuchSession, "session", session)
	}
	defer c.close()
	if c.reply.Error != "" {
		return nil, &Error{Name: c.reply.Error, Parameters: c.reply.Parameters}
	}
	if len(c.first.Files) != 1 {
		return nil, newError(ErrNoSuchSession, "session", session)
	}
	f := os.NewFile(uintptr(c.first.Files[0]), "manifest")
	c.first.Files = nil
	return f, nil
}
