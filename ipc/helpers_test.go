package ipc

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/tracer"
	"golang.org/x/sys/unix"
)

// patience is how long a test waits for what must come.
const patience = 60 * time.Second

// TestMain keeps from the commands what the tests happened to be started with.
func TestMain(m *testing.M) {
	kept, err := tracer.KeptDescriptors()
	if err != nil {
		panic(err)
	}
	for _, fd := range kept {
		if fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
	if socket := os.Getenv(daemonVariable); socket != "" {
		daemon(socket)
		return
	}
	os.Exit(m.Run())
}

// daemonVariable has this binary be a server in a process of its own, until its
// standard input ends.
const daemonVariable = "FSTRACE_TEST_DAEMON"

func daemon(socket string) {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		panic(err)
	}
	s := NewServer(Config{Socket: socket, Limits: DefaultLimits(), Spool: filepath.Dir(socket), Grace: time.Second, Drain: time.Second})
	go func() { _ = s.Serve(l) }()
	_, _ = os.Stdout.Write([]byte{'\n'})
	_, _ = io.Copy(io.Discard, os.Stdin)
	s.Shutdown(context.Background(), true)
}

// startDaemon starts a server in a process of its own, and returns a client of it.
func startDaemon(t testing.TB) (*Client, *os.Process) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "socket")
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), daemonVariable+"="+socket, "GORACE=atexit_sleep_ms=0")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		within(t, "the daemon's end", func() { _ = cmd.Wait() })
	})
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	client, err := Dial(socket)
	if err != nil {
		t.Fatal(err)
	}
	return client, cmd.Process
}

// startServer starts a server in a directory of its own, and returns a client of it.
// At the end it makes sure that the server comes to its own.
func startServer(t testing.TB, change func(*Config)) (*Client, *Server) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "socket")
	c := Config{Version: "test", Socket: socket, Limits: DefaultLimits(), Spool: t.TempDir(), Grace: time.Second, Drain: time.Second}
	if change != nil {
		change(&c)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	s := NewServer(c)
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		within(t, "the server's end", func() { s.Shutdown(context.Background(), true) })
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
		if used := s.spools.InUse(); used != 0 {
			t.Errorf("%d bytes of spools are accounted for that nobody has", used)
		}
		if used := s.memory.InUse(); used != 0 {
			t.Errorf("%d bytes of sessions' memory are accounted for that nobody has", used)
		}
		if used := s.gate.InUse(); used != 0 {
			t.Errorf("%d bytes of requests' memory are accounted for that nobody has", used)
		}
		if used := s.inbox.InUse(); used != 0 {
			t.Errorf("%d bytes of messages are accounted for that nobody has", used)
		}
	})
	client, err := Dial(socket)
	if err != nil {
		t.Fatal(err)
	}
	return client, s
}

// within fails a test that waits for too long.
func within(t testing.TB, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatalf("%s does not come", what)
	}
}

// testContext ends with the test, or when its patience does.
func testContext(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// sh asks for a shell script to be run in a directory.
func sh(dir, script string) *RunRequest {
	return &RunRequest{Argv: []string{"/bin/sh", "-c", script}, Env: []string{"PATH=/usr/bin:/bin"}, Cwd: dir}
}

// pipe returns the write end of a pipe, and a function that returns what was written
// once every writer has closed it.
func pipe(t testing.TB) (w *os.File, read func() string) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return w, func() string {
		t.Helper()
		w.Close()
		_ = r.SetReadDeadline(time.Now().Add(patience))
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatalf("read pipe: %v", err)
		}
		return string(b)
	}
}

// readRecord reads a stream to its end.
func readRecord(t testing.TB, s *Stream) (list []*events.Event, trailer *events.Trailer) {
	t.Helper()
	d := events.NewDecoder(s.Record())
	for {
		e, err := d.Next()
		if err == io.EOF {
			return list, d.Trailer()
		}
		if err != nil {
			t.Fatalf("read record: %v", err)
		}
		list = append(list, e)
	}
}

// run runs a command to its end.
func run(t testing.TB, c *Client, q *RunRequest) (list []*events.Event, trailer *events.Trailer) {
	t.Helper()
	s, err := c.Run(testContext(t), q)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	return readRecord(t, s)
}

// hasPath reports whether an event has a path.
func hasPath(list []*events.Event, path string) bool {
	for _, e := range list {
		if e.Path == path {
			return true
		}
	}
	return false
}

func lines(b []byte) int { return bytes.Count(b, []byte{'\n'}) }
