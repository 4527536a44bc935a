package ipc

import (
	"errors"
	"io"
	"os"
	"testing"
	"time"
)

// TestDaemonKilled: at whatever step the daemon is killed, the client gets an error, and
// the command dies, with all that it has started.
func TestDaemonKilled(t *testing.T) {
	for _, step := range []string{"started", "running", "reading"} {
		for _, adopt := range []bool{false, true} {
			name := step + ", started by the daemon"
			if adopt {
				name = step + ", adopted"
			}
			t.Run(name, func(t *testing.T) {
				client, daemon := startDaemon(t)
				// The pipe ends when the command and its child do.
				r, w, err := os.Pipe()
				if err != nil {
					t.Fatal(err)
				}
				defer r.Close()
				q := sh("/", "sleep 1000 & while :; do cat /etc/hostname; done")
				var s *Stream
				var wait func()
				if adopt {
					l, stream := launched(t, client, q, w)
					s, wait = stream, func() {
						// Usually by SIGKILL. One that has just begun may see a call of
						// its fail before that comes: nobody holds the listener for it
						// yet.
						if ended, err := l.Wait(nil); err != nil || ended.Status.Exited() && ended.Status.ExitStatus() == 0 {
							t.Errorf("%v, %v: want killed", ended.Exit, err)
						}
					}
				} else {
					q.Files = map[int]*os.File{1: w}
					if s, err = client.Run(testContext(t), q); err != nil {
						t.Fatal(err)
					}
					defer s.Close()
					wait = func() {}
				}
				w.Close()
				if step != "started" {
					if ran, err := s.Running(); !ran || err != nil {
						t.Fatalf("running: %v, %v", ran, err)
					}
				}
				if step == "reading" {
					for range 5 {
						if _, err := s.Next(); err != nil {
							t.Fatal(err)
						}
					}
				}
				if err := daemon.Kill(); err != nil {
					t.Fatal(err)
				}
				if _, err := io.Copy(io.Discard, s.Record()); !errors.Is(err, ErrGone) {
					t.Errorf("error %v, want %v", err, ErrGone)
				}
				wait()
				_ = r.SetReadDeadline(time.Now().Add(patience))
				if _, err := io.Copy(io.Discard, r); err != nil {
					t.Errorf("the command lives on: %v", err)
				}
			})
		}
	}
}

// TestDialNobody: what is said of a daemon that is not there.
func TestDialNobody(t *testing.T) {
	if _, err := Dial(t.TempDir() + "/socket"); err == nil {
		t.Error("no error")
	}
	t.Setenv("XDG_RUNTIME_DIR", "")
	if _, err := Dial(""); err == nil {
		t.Error("no error")
	}
}
