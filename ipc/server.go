package ipc

import (
	"cmp"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fstrace/fstrace/events/manifest"
	"github.com/fstrace/fstrace/ipc/internal/varlink"
	"github.com/fstrace/fstrace/tracer"
)

// A Config is the configuration of a [Server]. Zero fields have default values.
type Config struct {
	// Version and Socket are reported by Info.
	Version, Socket string
	Limits          Limits
	// Spool is the directory of the spools; /var/tmp by default. The files have no names.
	Spool string
	// Grace is the time between SIGTERM and SIGKILL for the commands of a client that
	// disconnects.
	Grace time.Duration
	// DrainTime is how long Shutdown waits for commands before it cancels them.
	DrainTime time.Duration
	// Drain is how long clients have at the end to read what is sent to them.
	Drain time.Duration
	// MessageTime is how long a message may take to arrive, from its first byte to its
	// last.
	MessageTime time.Duration
	// Cache has hashes for manifests; nil means none.
	Cache *manifest.Cache
	Log   *slog.Logger
	// Ballast, if set, is memory that nobody uses: the garbage collector then starts less
	// often. It takes no room, because nobody writes to it, and Statistics leaves it out.
	Ballast []byte
	// Other, if set, takes over a connection of another user, or returns an error to
	// refuse it. Without it, other users are refused.
	Other func(*net.UnixConn, Peer) error

	newCommand func(*tracer.Cmd) command // for tests
}

// DefaultLimits returns the limits of a server whose [Config] has none.
func DefaultLimits() Limits {
	return Limits{
		Sessions: 256, Connections: 1024, MessageBytes: 8 << 20, Descriptors: varlink.MaxFiles, MemoryBytes: 512 << 20,
		RetainSessions: 100, RetainSeconds: 3600, SpoolBytes: 4 << 30,
	}
}

// inboxBytes is how much all clients together may have sent that has not been answered,
// if messages may not be large.
const inboxBytes = 64 << 20

// heldFiles is how many descriptors all clients together may have sent with messages that
// have not been answered, if a message may not have many.
const heldFiles = 1024

// spoolFloor is what each session's spool may have in any case.
const spoolFloor = 1 << 20

func (c *Config) setDefaults() {
	d := DefaultLimits()
	l := &c.Limits
	l.Sessions = cmp.Or(l.Sessions, d.Sessions)
	l.Connections = cmp.Or(l.Connections, d.Connections)
	l.MessageBytes = cmp.Or(l.MessageBytes, d.MessageBytes)
	l.Descriptors = min(cmp.Or(l.Descriptors, d.Descriptors), varlink.MaxFiles)
	l.MemoryBytes = cmp.Or(l.MemoryBytes, d.MemoryBytes)
	l.SpoolBytes = cmp.Or(l.SpoolBytes, d.SpoolBytes)
	c.Spool = cmp.Or(c.Spool, "/var/tmp")
	c.Grace = cmp.Or(c.Grace, 10*time.Second)
	c.DrainTime = cmp.Or(c.DrainTime, time.Hour)
	c.MessageTime = cmp.Or(c.MessageTime, 30*time.Second)
	c.Drain = cmp.Or(c.Drain, 10*time.Second)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.newCommand == nil {
		c.newCommand = func(t *tracer.Cmd) command { return t }
	}
}

// A Server runs commands for its clients, and retains their records. Its methods may be
// called concurrently.
type Server struct {
	config Config
	spools *room           // of spools
	inbox  *varlink.Budget // of messages that have been received and not been answered
	held   *varlink.Budget // of descriptors that came with them
	gate   *varlink.Gate   // of the memory that requests take
	memory *room           // of what sessions have in memory
	began  time.Time

	registry *registry // of sessions

	mu         sync.Mutex
	listeners  []io.Closer
	serving    int // connections, also those that are not in conns yet, or are refused
	conns      map[*connection]bool
	siblings   []*sibling
	monitors   map[*monitor]bool
	statistics Statistics
	draining   bool          // no more listeners are served
	closed     bool          // no more connections are served
	ending     chan struct{} // closed when no session runs any more, at the end
	changed    chan struct{} // closed and replaced when something may have become idle

	spare tracer.Spare // the process of the next command

	events   atomic.Uint64 // of all sessions
	refusals refusals
}

// NewServer returns a server. Zero fields of c.Limits have default values, except
// RetainSessions and RetainSeconds: 0 retains nothing.
func NewServer(c Config) *Server {
	c.setDefaults()
	s := &Server{
		config: c, began: time.Now(),
		conns: make(map[*connection]bool), monitors: make(map[*monitor]bool),
		ending: make(chan struct{}), changed: make(chan struct{}),
	}
	s.registry = &registry{
		limits: &s.config.Limits, log: c.Log, changed: s.wake,
		running: make(map[*session]bool), sessions: make(map[string]*session), forgottenIDs: make(map[string]bool),
	}
	s.inbox = &varlink.Budget{Limit: max(inboxBytes, 4*int64(c.Limits.MessageBytes))}
	s.gate = &varlink.Gate{Limit: c.Limits.MemoryBytes}
	s.memory = &room{Budget: varlink.Budget{Limit: c.Limits.MemoryBytes}, evict: s.registry.evict}
	s.held = &varlink.Budget{Limit: max(heldFiles, 4*int64(c.Limits.Descriptors))}
	s.spools = &room{Budget: varlink.Budget{Limit: c.Limits.SpoolBytes}, floor: spoolFloor, evict: s.registry.makeRoom, evictFollowed: s.registry.evictFollowed}
	return s
}

// A Listener accepts connections. *net.UnixListener implements it.
type Listener interface {
	AcceptUnix() (*net.UnixConn, error)
	Close() error
}

// Serve accepts and serves connections until the listener is closed, for example by
// [Server.Shutdown]. Then it returns nil.
func (s *Server) Serve(l Listener) error {
	s.mu.Lock()
	if s.draining {
		s.mu.Unlock()
		return l.Close()
	}
	s.listeners = append(s.listeners, l)
	s.mu.Unlock()
	for pause := time.Millisecond; ; {
		conn, err := l.AcceptUnix()
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil
		case errors.Is(err, io.EOF):
			return err
		case err != nil: // out of descriptors, say: it will pass
			s.config.Log.Error("accept", "error", err)
			time.Sleep(pause)
			pause = min(2*pause, time.Second)
		default:
			pause = time.Millisecond
			s.arrive(+1) // before the next is accepted: AwaitIdle must not miss it
			go func() {
				defer s.arrive(-1)
				s.serve(conn)
			}()
		}
	}
}

// arrive counts connections that have been accepted and have not ended.
func (s *Server) arrive(change int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serving += change
	s.wakeLocked()
}

// serve serves one connection to its end.
func (s *Server) serve(conn *net.UnixConn) { s.serveAs(conn, false) }

func (s *Server) serveAs(conn *net.UnixConn, sibling bool) {
	peer, err := peerOf(conn)
	switch {
	case err != nil:
		s.refuse(conn, newError(ErrNotPermitted, "message", err.Error()))
		return
	case peer.UID != os.Geteuid() && s.config.Other == nil:
		err := newError(ErrNotPermitted, "message", "this fstraced belongs to another user")
		s.logRefused(peer, err)
		s.refuse(conn, err)
		return
	case peer.UID != os.Geteuid():
		if err := s.config.Other(conn, peer); err != nil {
			s.logRefused(peer, err)
			s.refuse(conn, newError(ErrNotPermitted, "message", err.Error()))
		}
		return
	}
	c := newConnection(s, conn, peer)
	c.sibling = sibling
	if err := s.enter(c); err != nil {
		s.refuse(conn, err)
		return
	}
	c.serve()
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	s.wake()
}

// enter counts a connection in, if there is room for it.
func (s *Server) enter(c *connection) *Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch limit := s.config.Limits.Connections; {
	case s.closed:
		return newError(ErrShuttingDown)
	case len(s.conns) >= limit:
		s.statistics.ConnectionsRefused++
		return newError(ErrTooManyConnections, "limit", limit)
	}
	s.statistics.ConnectionsTotal++
	s.conns[c] = true
	return nil
}

// refuse sends the reason as an error reply, and closes the connection.
func (s *Server) refuse(conn *net.UnixConn, reason *Error) {
	defer conn.Close()
	_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
	if data, err := varlink.Encode(varlink.Reply{Error: reason.Name, Parameters: reason.Parameters}); err == nil {
		_ = varlink.Write(conn, data, nil)
	}
}
