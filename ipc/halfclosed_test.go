package ipc

import (
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/fstrace/fstrace/ipc/internal/varlink"
	"github.com/fstrace/fstrace/testdata/harness"
	"golang.org/x/sys/unix"
)

// TestHalfClosed: a client that has sent its last message gets all replies to it, however
// long that takes; it is gone when it closes its end.
func TestHalfClosed(t *testing.T) {
	client, _ := startServer(t, nil)
	for _, closes := range []bool{false, true} {
		conn := rawConn(t, client)
		w, read := pipe(t)
		call := `{"method":"io.fstrace.v1.Run","parameters":{"argv":["sh","-c","echo begun; read x; exit 7"],"env":["PATH=/usr/bin:/bin"],"cwd":"/","descriptors":[{"number":0,"index":0},{"number":1,"index":1}]},"more":true}`
		in, release, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		defer release.Close()
		if err := varlink.Write(conn, []byte(call), []int{int(in.Fd()), int(w.Fd())}); err != nil {
			t.Fatal(err)
		}
		if err := conn.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		r := varlink.NewReader(conn, 1<<20, 0)
		for got := ""; !strings.Contains(got, `"running":true`); {
			got = string(rawReply(t, r).Parameters)
		}
		if closes {
			conn.Close()
			if got := read(); got != "begun\n" && got != "" { // it ends though nobody lets it
				t.Errorf("output %q", got)
			}
			harness.Eventually(t, "the session is cancelled", func() bool {
				list, err := client.List(testContext(t))
				return err == nil && len(list) == 2 && list[1].State == "ended"
			})
			return
		}
		release.Close()
		var last varlink.Reply
		for last = rawReply(t, r); last.Continues; last = rawReply(t, r) {
		}
		if !strings.Contains(string(last.Parameters), `"exit":{"code":7}`) {
			t.Errorf("last reply %s, error %q", last.Parameters, last.Error)
		}
	}
}

// TestUnfinished: a message that does not end holds its descriptors for so long, and all
// of them together hold so many.
func TestUnfinished(t *testing.T) {
	client, s := startServer(t, func(c *Config) { c.MessageTime = 100 * time.Millisecond })
	harness.Eventually(t, "nobody is connected", func() bool {
		idle, _ := s.idle()
		return idle
	})
	files := harness.NullFiles(t, 5)
	before := harness.OpenFiles(t)
	conn := rawConn(t, client)
	if _, err := conn.Write(append([]byte(`{"method":"io.fstrace.v1.Info"}`), 0)); err != nil {
		t.Fatal(err)
	}
	r := varlink.NewReader(conn, 1<<20, 0)
	rawReply(t, r)
	// Piece by piece, each of them in time.
	if err := writePart(conn, "{", files); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range 1000 {
		<-tick.C
		if writePart(conn, " ", nil) != nil {
			break
		}
	}
	if got := rawReply(t, r); got.Error != ErrBadMessage.Name || !strings.Contains(string(got.Parameters), "100ms") {
		t.Errorf("reply %+v %s", got, got.Parameters)
	}
	conn.Close()
	harness.Eventually(t, "descriptors are closed", func() bool { return harness.OpenFiles(t) <= before })
	if n := s.held.InUse(); n != 0 {
		t.Errorf("%d descriptors are accounted for", n)
	}
}

// TestTooManyHeld: unfinished messages of many connections cannot take all descriptors.
func TestTooManyHeld(t *testing.T) {
	client, s := startServer(t, func(c *Config) { c.Limits.Descriptors = 200 })
	files := harness.NullFiles(t, 200)
	for i := range int64(5) {
		if err := writePart(rawConn(t, client), "{", files); err != nil {
			t.Fatal(err)
		}
		harness.Eventually(t, "they have come", func() bool { return s.held.InUse() == 200*(i+1) })
	}
	conn := rawConn(t, client)
	if err := writePart(conn, "{", files); err != nil {
		t.Fatal(err)
	}
	r := varlink.NewReader(conn, 1<<20, 0)
	if got := rawReply(t, r); got.Error != ErrTooManyDescriptors.Name || string(got.Parameters) != `{"limit":1024}` {
		t.Errorf("reply %+v %s", got, got.Parameters)
	}
}

// writePart sends a part of a message, and descriptors with it.
func writePart(conn *net.UnixConn, part string, files []int) error {
	var oob []byte
	if len(files) > 0 {
		oob = unix.UnixRights(files...)
	}
	_, _, err := conn.WriteMsgUnix([]byte(part), oob, nil)
	return err
}
