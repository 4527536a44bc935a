package ipc

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"

	"github.com/fstrace/fstrace/ipc/internal/varlink"
	"golang.org/x/sys/unix"
)

// A connection is one client. Its calls are answered one after the other, as varlink
// demands. Meanwhile the server reads from the connection, to notice its end.
type connection struct {
	server *Server
	conn   *net.UnixConn
	peer   Peer
	// sibling is set if another server of the user is at the other end.
	sibling bool

	calls chan varlink.Frame // whole messages that wait
	gone  chan struct{}      // the client has gone, or sends what cannot be understood
	fatal error              // why not, for the client; set before calls is closed
	busy  atomic.Bool        // a call is being answered
	last  *session           // that it ran, kept for it: it may ask for the manifest
}

// pendingCalls is how many messages may wait on a connection.
const pendingCalls = 16

// requestRead is how much is read from a client at once: most messages are small.
const requestRead = 8 << 10

func newConnection(s *Server, conn *net.UnixConn, peer Peer) *connection {
	return &connection{server: s, conn: conn, peer: peer, calls: make(chan varlink.Frame, pendingCalls), gone: make(chan struct{})}
}

// serve answers calls to the connection's end.
func (c *connection) serve() {
	log := c.server.config.Log
	log.Debug("connected", "uid", c.peer.UID, "pid", c.peer.PID)
	go c.read()
	var err error
	for f := range c.calls {
		if err == nil {
			c.busy.Store(true)
			err = c.answer(&f)
			c.busy.Store(false)
			c.server.wake()
		}
		f.Release()
		if err != nil {
			_ = c.conn.Close() // the reader ends by that
		}
	}
	if err == nil {
		c.reportFatal()
	}
	_ = c.conn.Close()
	c.hold(nil)
	log.Debug("disconnected", "uid", c.peer.UID, "pid", c.peer.PID, "error", err)
}

// hold retains a session until the connection ends or holds another session.
func (c *connection) hold(n *session) {
	last := c.last
	c.last = n
	if n != nil {
		n.hold(+1)
	}
	if last != nil {
		last.hold(-1)
		c.server.registry.sweep()
	}
}

// read reads messages until the client has sent the last one, or an invalid one. A client
// that has shut down only its sending side (shutdown(2), SHUT_WR) still gets its replies,
// until it closes the socket.
func (c *connection) read() {
	defer close(c.gone)
	c.readMessages()
	close(c.calls)
	if c.fatal == io.EOF {
		c.awaitHangup()
	}
}

// readMessages passes messages on to serve. At the end it sets fatal.
func (c *connection) readMessages() {
	limits := &c.server.config.Limits
	r := varlink.NewReader(c.conn, limits.MessageBytes, limits.Descriptors)
	r.Inbox, r.Held, r.ReadSize = c.server.inbox, c.server.held, requestRead
	r.Patience = c.server.config.MessageTime
	defer r.Close()
	for {
		f, err := r.Next()
		if err != nil {
			c.fatal = err
			return
		}
		select {
		case c.calls <- f:
		default:
			f.Release()
			c.fatal = newError(ErrTooManyRequests, "limit", pendingCalls)
			return
		}
	}
}

// awaitHangup waits until the client has closed its end, or the connection is closed
// here. poll(2) reports POLLHUP once both directions are shut down.
func (c *connection) awaitHangup() {
	raw, err := c.conn.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Read(func(fd uintptr) bool { // an error: closed here
		p := []unix.PollFd{{Fd: int32(fd)}}
		n, err := unix.Poll(p, 0)
		return err != nil && err != unix.EINTR || n > 0
	})
}

// reportFatal sends a client the reason why the server no longer reads from it.
func (c *connection) reportFatal() {
	limits := &c.server.config.Limits
	var e *Error
	switch err := c.fatal; {
	case err == io.EOF, errors.Is(err, net.ErrClosed):
		return
	case errors.As(err, &e):
	case err == varlink.ErrTooLarge:
		e = newError(ErrMessageTooLarge, "limit", limits.MessageBytes)
	case err == varlink.ErrTooManyHeld:
		e = newError(ErrTooManyDescriptors, "limit", c.server.held.Limit)
	case err == varlink.ErrUnfinished:
		e = newError(ErrBadMessage, "message", "the message was not finished within "+c.server.config.MessageTime.String())
	case err == varlink.ErrTooManyFiles:
		e = newError(ErrTooManyDescriptors, "limit", limits.Descriptors)
	case err == varlink.ErrTooMuch:
		e = newError(ErrTooManyRequests, "limit", c.server.inbox.Limit)
	case err == varlink.ErrFilesLost:
		e = newError(ErrDescriptorsLost)
	default:
		e = newError(ErrBadMessage, "message", err.Error())
	}
	c.server.refuse(c.conn, e)
}

// A request is a call that is being answered.
type request struct {
	*connection
	*varlink.Call
	frame  *varlink.Frame
	files  []int   // of the message; who takes one over sets it to -1
	reader *reader // of the session that it runs, if it wants the events

	reserved int64 // of the memory of sessions
}

// name is the method's, without the interface.
func (r *request) name() string { return strings.TrimPrefix(r.Method, Interface+".") }

// releaseMessage releases the message before the answer, which may take as long as a
// command runs.
func (r *request) releaseMessage() {
	r.Parameters, r.files = nil, nil
	r.frame.Release()
}

// patterns are the members whose strings take more memory than others, in bytes.
var patterns = map[string]int64{"only": 320, "ignore": 320}

// admit waits until there is memory for what a message becomes.
func (s *Server) admit(f *varlink.Frame, weight int64, gone <-chan struct{}) error {
	err := f.Enter(s.gate, weight, gone)
	if err == varlink.ErrTooHeavy {
		return newError(ErrTooMuchMemory, "limit", s.gate.Limit)
	}
	return err
}

// answer answers one message. An error ends the connection.
func (c *connection) answer(f *varlink.Frame) error {
	q, err := varlink.DecodeCall(f.Data)
	if err != nil {
		e := newError(ErrBadMessage, "message", err.Error())
		c.server.refuse(c.conn, e)
		return e
	}
	r := &request{connection: c, Call: q, frame: f, files: f.Files}
	c.server.config.Log.Debug("call", "method", q.Method, "pid", c.peer.PID)
	if err = c.server.admit(f, varlink.Weigh(q.Parameters, patterns), c.gone); err == nil {
		err = c.server.dispatch(r)
	}
	c.server.memory.Give(r.reserved)
	if errors.Is(err, ErrNoSuchSession) {
		err = c.server.forward(r, err)
	}
	var e *Error
	if errors.As(err, &e) {
		return r.send(varlink.Reply{Error: e.Name, Parameters: e.Parameters})
	}
	return err
}

// dispatch answers a call. An error of type *Error is the reply.
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

// takeFile returns the descriptor at an index. The caller then owns it. Each can be taken
// once.
func (r *request) takeFile(i int) (int, bool) {
	if i < 0 || i >= len(r.files) || r.files[i] < 0 {
		return -1, false
	}
	fd := r.files[i]
	r.files[i] = -1
	return fd, true
}

// send sends a reply, unless the client wants none.
func (r *request) send(answer varlink.Reply) error {
	if r.Oneway {
		return nil
	}
	data, err := varlink.Encode(answer)
	if err != nil {
		return err
	}
	return varlink.Write(r.conn, data, nil)
}

// reply sends the last reply to a call.
func (r *request) reply(parameters any) error {
	data, err := varlink.Encode(parameters)
	if err != nil {
		return err
	}
	return r.send(varlink.Reply{Parameters: json.RawMessage(data)})
}

// signalNumber is the largest there is.
const signalNumber = 64

func validSignal(n int) (unix.Signal, bool) {
	return unix.Signal(n), n > 0 && n <= signalNumber
}
