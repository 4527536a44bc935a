package ipc

import (
	"encoding/json"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/fstrace/fstrace/ipc/internal/varlink"
	"github.com/fstrace/fstrace/testdata/harness"
	"golang.org/x/sys/unix"
)

// rawConn connects without a client of ours.
func rawConn(t testing.TB, c *Client) *net.UnixConn {
	t.Helper()
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: c.socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// rawReply reads one reply.
func rawReply(t testing.TB, r *varlink.Reader) varlink.Reply {
	t.Helper()
	f, err := r.Next()
	if err != nil {
		t.Fatalf("reply: %v", err)
	}
	var out varlink.Reply
	if err := json.Unmarshal(f.Data, &out); err != nil {
		t.Fatalf("reply %q: %v", f.Data, err)
	}
	return out
}

// TestProtocol: what a client in another language may come to send.
func TestProtocol(t *testing.T) {
	client, _ := startServer(t, nil)
	for name, c := range map[string]struct{ call, want string }{
		"unknown method":    {`{"method":"io.fstrace.v1.Nothing"}`, ErrMethodNotFound.Name},
		"unknown interface": {`{"method":"org.example.Nothing"}`, ErrInterfaceNotFound.Name},
		"no interface":      {`{"method":"Nothing"}`, ErrInterfaceNotFound.Name},
		"unknown parameter": {`{"method":"io.fstrace.v1.GetManifest","parameters":{"sesion":"x"}}`, ErrInvalidParameter.Name},
		"wrong type":        {`{"method":"io.fstrace.v1.GetManifest","parameters":{"session":7}}`, ErrInvalidParameter.Name},
		"no session":        {`{"method":"io.fstrace.v1.GetManifest","parameters":{"session":"x"}}`, ErrNoSuchSession.Name},
		"subscribe once":    {`{"method":"io.fstrace.v1.Subscribe","parameters":{"session":"x"}}`, ErrExpectedMore.Name},
		"no description":    {`{"method":"org.varlink.service.GetInterfaceDescription","parameters":{"interface":"x"}}`, ErrInterfaceNotFound.Name},
		"not JSON":          {`method`, ErrBadMessage.Name},
		"not an object":     {`[]`, ErrBadMessage.Name},
		"empty":             {``, ErrBadMessage.Name},
		"no method":         {`{}`, ErrBadMessage.Name},
		"upgrade":           {`{"method":"io.fstrace.v1.List","upgrade":true}`, ErrBadMessage.Name},
		"not UTF-8":         {"{\"method\":\"io.fstrace.v1.List\xff\"}", ErrBadMessage.Name},
		"info":              {`{"method":"org.varlink.service.GetInfo"}`, ""},
		"description":       {`{"method":"org.varlink.service.GetInterfaceDescription","parameters":{"interface":"io.fstrace.v1"}}`, ""},
		"null parameters":   {`{"method":"io.fstrace.v1.List","parameters":null,"extra":1}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			conn := rawConn(t, client)
			if err := varlink.Write(conn, []byte(c.call), nil); err != nil {
				t.Fatal(err)
			}
			r := varlink.NewReader(conn, 1<<20, 0)
			defer r.Close()
			if got := rawReply(t, r); got.Error != c.want {
				t.Errorf("error %q %s, want %q", got.Error, got.Parameters, c.want)
			}
		})
	}
}

// TestPipelined: calls are answered in order, oneway calls not at all, and a client
// that has sent its last may still read.
func TestPipelined(t *testing.T) {
	client, _ := startServer(t, nil)
	conn := rawConn(t, client)
	for _, call := range []string{
		`{"method":"org.varlink.service.GetInfo"}`,
		`{"method":"io.fstrace.v1.Statistics","oneway":true}`,
		`{"method":"io.fstrace.v1.Nothing","oneway":true}`,
		`{"method":"io.fstrace.v1.List"}`,
	} {
		if err := varlink.Write(conn, []byte(call), nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	r := varlink.NewReader(conn, 1<<20, 0)
	defer r.Close()
	if got := rawReply(t, r); !strings.Contains(string(got.Parameters), "fstraced") {
		t.Errorf("first reply %s", got.Parameters)
	}
	if got := rawReply(t, r); !strings.Contains(string(got.Parameters), "sessions") {
		t.Errorf("second reply %s", got.Parameters)
	}
	if _, err := r.Next(); err == nil {
		t.Error("a third reply")
	}
}

// TestLimits: each limit has its error, and the server goes on.
func TestLimits(t *testing.T) {
	client, _ := startServer(t, func(c *Config) {
		c.Limits.Sessions, c.Limits.Connections, c.Limits.MessageBytes, c.Limits.Descriptors = 1, 3, 10_000, 2
	})
	ctx := testContext(t)
	s, err := client.Run(ctx, sh("/", "sleep 1000"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	refused := func(what string, q *RunRequest, want *Error) {
		t.Helper()
		s, err := client.Run(ctx, q)
		if err == nil {
			s.Close()
		}
		if !errors.Is(err, want) {
			t.Errorf("%s: error %v, want %v", what, err, want.Name)
		}
	}
	refused("sessions", sh("/", "true"), ErrTooManySessions)
	refused("message", sh("/", strings.Repeat("x", 1<<20)), ErrMessageTooLarge)
	q := sh("/", "true")
	q.Files = map[int]*os.File{0: os.Stdin, 1: os.Stdin, 2: os.Stdin}
	refused("descriptors", q, ErrTooManyDescriptors)

	for range 2 {
		rawConn(t, client)
	}
	harness.Eventually(t, "connections are refused", func() bool {
		_, err := client.List(ctx)
		if err != nil && !errors.Is(err, ErrTooManyConnections) {
			t.Fatalf("error %v", err)
		}
		return err != nil
	})
}

// TestTooManyRequests: a client cannot make the server keep what it sends.
func TestTooManyRequests(t *testing.T) {
	client, _ := startServer(t, nil)
	conn := rawConn(t, client)
	run := `{"method":"io.fstrace.v1.Run","parameters":{"argv":["sleep","1000"],"env":["PATH=/usr/bin:/bin"],"cwd":"/"},"more":true}`
	if err := varlink.Write(conn, []byte(run), nil); err != nil {
		t.Fatal(err)
	}
	for range 10 * pendingCalls {
		if err := varlink.Write(conn, []byte(`{"method":"io.fstrace.v1.List"}`), nil); err != nil {
			break // it has stopped listening
		}
	}
	harness.Eventually(t, "the session ends with its client", func() bool {
		list, err := client.List(testContext(t))
		if err != nil {
			t.Fatal(err)
		}
		return len(list) == 1 && list[0].State == "ended"
	})
}

// TestTooMuch: clients that send and do not end cannot fill the memory together, and
// what they had is free when they have gone.
func TestTooMuch(t *testing.T) {
	client, s := startServer(t, nil)
	piece := []byte(strings.Repeat("x", 7<<20)) // no message may have more than 8 MB
	refused := false
	var conns []*net.UnixConn
	for range 2 * inboxBytes / len(piece) {
		conn := rawConn(t, client)
		conns = append(conns, conn)
		_, err := conn.Write(piece)
		refused = refused || err != nil
	}
	if used := s.inbox.InUse(); used > inboxBytes || !refused {
		t.Errorf("%d bytes are held, refused: %v", used, refused)
	}
	for _, conn := range conns {
		conn.Close()
	}
	harness.Eventually(t, "it is free again", func() bool { return s.inbox.InUse() < 1<<20 })
	stream, err := client.Run(testContext(t), sh("/", "sleep 1000"))
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	harness.Eventually(t, "a command that runs does not count", func() bool { return s.inbox.InUse() == 0 })
}

// TestDroppedDescriptors: those of messages that come to nothing are closed.
func TestDroppedDescriptors(t *testing.T) {
	client, s := startServer(t, func(c *Config) { c.Limits.RetainSessions = 0 }) // what is kept has a file
	s.spare.Close()                                                              // the process that waits has descriptors
	files := harness.NullFiles(t, 5)
	harness.Eventually(t, "nobody is connected", func() bool {
		idle, _ := s.idle()
		return idle
	})
	before := harness.OpenFiles(t)
	for _, call := range []string{
		`{"method":"io.fstrace.v1.List"}`,
		`{"method":"io.fstrace.v1.Run","parameters":{"argv":["true"],"env":[],"cwd":"/nowhere","descriptors":[{"number":1,"index":0},{"number":1,"index":1}]}}`,
		`{"method":"io.fstrace.v1.Run","parameters":{"argv":["true"],"env":[],"cwd":"/","descriptors":[{"number":-1,"index":0}]}}`,
		`{"method":"io.fstrace.v1.Run","parameters":{"argv":["true"],"env":[],"cwd":"/","descriptors":[{"number":1,"index":0},{"number":2,"index":9}]}}`,
		`{"method":"io.fstrace.v1.Run","parameters":{"argv":["true"],"env":[],"cwd":"/","launched":{"version":2,"control":0,"process":1,"mask":"0","ignored":"0"}}}`,
		`{"method":"io.fstrace.v1.Run","parameters":{"argv":["true"],"env":[],"cwd":"/","launched":{"version":99,"control":0,"process":1,"mask":"0","ignored":"0"}}}`,
		`{"method":"io.fstrace.v1.Run","parameters":{"argv":["/bin/true"],"env":[],"cwd":"/","descriptors":[{"number":1,"index":0},{"number":9,"index":3}]}}`,
		`junk`,
	} {
		conn := rawConn(t, client)
		if err := varlink.Write(conn, []byte(call), files); err != nil {
			t.Fatal(err)
		}
		r := varlink.NewReader(conn, 1<<20, 0)
		rawReply(t, r)
		r.Close()
		conn.Close()
	}
	harness.Eventually(t, "descriptors are closed", func() bool { return harness.OpenFiles(t) <= before })
}

// FuzzConnection: whatever is sent, the server goes on, and nothing stays open.
func FuzzConnection(f *testing.F) {
	client, s := startServer(f, func(c *Config) { c.newCommand, c.Limits.RetainSessions = newFake(0), 0 })
	f.Add([]byte(`{"method":"io.fstrace.v1.Run","parameters":{"argv":["a"],"env":[],"cwd":"/","descriptors":[{"number":1,"index":0}]},"more":true}`+"\x00"), 1, uint(3))
	f.Add([]byte("{}\x00{\x00"), 0, uint(1))
	f.Add([]byte(`{"method":"io.fstrace.v1.List"}`+"\x00"+`{"method":"io.fstrace.v1.Subscribe","parameters":{"session":"a","from":-1},"more":true}`+"\x00"), 3, uint(40))
	harness.Eventually(f, "nobody is connected", func() bool {
		idle, _ := s.idle()
		return idle
	})
	before := harness.OpenFiles(f)
	f.Fuzz(func(t *testing.T, data []byte, files int, cut uint) {
		conn := rawConn(t, client)
		var oob []byte
		if files = max(0, min(files, 5)); files > 0 {
			oob = unix.UnixRights(harness.NullFiles(t, files)...)
		}
		at := int(cut % uint(len(data)+1))
		_, _, _ = conn.WriteMsgUnix(data[:at], oob, nil)
		_, _ = conn.Write(data[at:]) // it may have stopped listening
		conn.Close()
		if _, err := client.List(testContext(t)); err != nil {
			t.Fatal(err)
		}
		harness.Eventually(t, "the connection is let go", func() bool {
			idle, _ := s.idle()
			return idle
		})
	})
	harness.Eventually(f, "descriptors are closed", func() bool { return harness.OpenFiles(f) <= before })
}
