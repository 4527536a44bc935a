package ipc

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/fstrace/fstrace/ipc/internal/varlink"
	"github.com/fstrace/fstrace/testdata/harness"
	"golang.org/x/sys/unix"
)

// join makes two servers siblings of each other.
func join(t testing.TB, a, b *Server) {
	t.Helper()
	for _, pair := range [][2]*Server{{a, b}, {b, a}} {
		t.Cleanup(pair[0].AddSibling(func() (*net.UnixConn, error) {
			fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return nil, err
			}
			var ends [2]*net.UnixConn
			for i, fd := range fds {
				file := os.NewFile(uintptr(fd), "end")
				conn, err := net.FileConn(file)
				file.Close()
				if err != nil {
					return nil, err
				}
				ends[i] = conn.(*net.UnixConn)
			}
			go pair[1].ServeSibling(ends[1])
			return ends[0], nil
		}))
	}
}

// TestSiblings: a user sees and ends the sessions of all his servers from each.
func TestSiblings(t *testing.T) {
	ctx := testContext(t)
	here, a := startServer(t, nil)
	there, b := startServer(t, nil)
	join(t, a, b)
	ready, await := pipe(t)
	q := sh(t.TempDir(), "cat /etc/hostname; exec 5>&-; sleep 1000")
	q.Files = map[int]*os.File{5: ready}
	q.Options.Manifest = true
	own, err := there.Run(ctx, q)
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	id := own.Session()
	await()
	list, err := here.List(ctx)
	if err != nil || len(list) != 1 || list[0].Session != id || list[0].State != "running" {
		t.Fatalf("%+v, %v", list, err)
	}
	followed, err := here.Subscribe(ctx, id, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer followed.Close()
	if err := here.Signal(ctx, id, unix.SIGCONT, false); err != nil {
		t.Error(err)
	}
	type record struct {
		data []byte
		err  error
	}
	late := make(chan record, 1)
	go func() {
		f, err := here.Record(ctx, id)
		var data []byte
		if err == nil {
			data, err = io.ReadAll(f)
			f.Close()
		}
		late <- record{data, err}
	}()
	if err := here.Cancel(ctx, id, 0); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(followed.Record())
	if err != nil || !strings.Contains(string(got), `"path":"/etc/hostname"`) || !strings.Contains(string(got), `"exit":{"signal":"SIG`) {
		t.Errorf("followed: %v, %.300s", err, got)
	}
	if r := <-late; r.err != nil || string(r.data) != string(got) {
		t.Errorf("as a file: %d bytes, %v", len(r.data), r.err)
	}
	harness.Eventually(t, "it has ended", func() bool { list, err := here.List(ctx); return err == nil && list[0].State == "ended" })
	if doc, err := here.Manifest(ctx, id); err != nil || !strings.Contains(string(doc), "/etc/hostname") {
		t.Errorf("manifest: %v", err)
	}
	if answer, err := here.Check(ctx, CheckRequest{Session: id, AllowIncomplete: true}); err != nil || answer.Error != "" {
		t.Errorf("check: %+v, %v", answer, err)
	}
	if err := here.Cancel(ctx, id, 0); !errors.Is(err, ErrSessionEnded) {
		t.Errorf("a second cancel: %v", err)
	}
	if err := here.Cancel(ctx, "nobody's", 0); !errors.Is(err, ErrNoSuchSession) {
		t.Errorf("no such session: %v", err)
	}
}

// TestSiblingRuns: what depends on groups is not done for another server.
func TestSiblingRuns(t *testing.T) {
	_, a := startServer(t, nil)
	_, b := startServer(t, nil)
	join(t, a, b)
	for _, q := range []varlink.Call{
		{Method: Interface + ".Run", Parameters: []byte(`{"argv":["true"],"env":[],"cwd":"/"}`)},
		{Method: Interface + ".Check", Parameters: []byte(`{"manifest":{}}`)},
	} {
		c, err := a.listSiblings()[0].call(q, nil, patience)
		if err != nil {
			t.Fatal(err)
		}
		if c.reply.Error != ErrNotPermitted.Name {
			t.Errorf("%s: %s", q.Method, c.first.Data)
		}
		c.close()
	}
}
