package ipc

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/testdata/harness"
	"golang.org/x/sys/unix"
)

// runFake runs a command of startServer's fakes to its end, and returns its id.
func runFake(t testing.TB, c *Client) string {
	t.Helper()
	s, err := c.Run(testContext(t), &RunRequest{Argv: []string{"fake"}, Env: []string{}, Cwd: "/"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := io.Copy(io.Discard, s.Record()); err != nil {
		t.Fatal(err)
	}
	return s.Session()
}

func subscribeError(t testing.TB, c *Client, id string) error {
	t.Helper()
	s, err := c.Subscribe(testContext(t), id, 0)
	if err == nil {
		_, err = io.Copy(io.Discard, s.Record())
		s.Close()
	}
	return err
}

func TestRetainCount(t *testing.T) {
	client, _ := startServer(t, func(c *Config) {
		c.newCommand = newFake(10)
		c.Limits.RetainSessions = 2
	})
	var ids []string
	for range 4 {
		ids = append(ids, runFake(t, client))
	}
	harness.Eventually(t, "the first two are given up", func() bool {
		list, err := client.List(testContext(t))
		if err != nil {
			t.Fatal(err)
		}
		return len(list) == 2
	})
	for i, id := range ids {
		err := subscribeError(t, client, id)
		if i < 2 != errors.Is(err, ErrReplayGone) || i >= 2 && err != nil {
			t.Errorf("session %d: %v", i, err)
		}
	}
}

// TestRetainLast: the client that ran a session may still ask for its manifest, as long
// as the connection lasts.
func TestRetainLast(t *testing.T) {
	client, _ := startServer(t, func(c *Config) {
		c.newCommand = newFake(10)
		c.Limits.RetainSessions = 0
	})
	s, err := client.Run(testContext(t), &RunRequest{Argv: []string{"fake"}, Env: []string{}, Cwd: "/"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := io.Copy(io.Discard, s.Record()); err != nil {
		t.Fatal(err)
	}
	runFake(t, client) // another comes and goes
	if err := subscribeError(t, client, s.Session()); err != nil {
		t.Errorf("while the connection lasts: %v", err)
	}
	s.Close()
	harness.Eventually(t, "it is given up", func() bool { return errors.Is(subscribeError(t, client, s.Session()), ErrReplayGone) })
}

func TestRetainTime(t *testing.T) {
	client, _ := startServer(t, func(c *Config) {
		c.newCommand = newFake(10)
		c.Limits.RetainSeconds = 1
	})
	id := runFake(t, client)
	harness.Eventually(t, "it is given up", func() bool { return errors.Is(subscribeError(t, client, id), ErrReplayGone) })
}

// TestRetainBytes: what has ended and nobody follows makes room for what runs. What
// somebody follows is given up last.
func TestRetainBytes(t *testing.T) {
	const n = 20_000 // over 2 MB each, more than the sockets between us hold
	client, s := startServer(t, func(c *Config) {
		c.newCommand = newFake(n)
		c.Limits.SpoolBytes = 3 << 20 // one at a time
	})
	first := runFake(t, client)
	second := runFake(t, client)
	if err := subscribeError(t, client, first); !errors.Is(err, ErrReplayGone) {
		t.Errorf("the first: %v", err)
	}
	stalled, err := client.Subscribe(testContext(t), second, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer stalled.Close()
	for range 4 {
		id := runFake(t, client) // whole, though not kept as a whole
		if err := subscribeError(t, client, id); !errors.Is(err, ErrReplayGone) {
			t.Errorf("the newest: %v", err)
		}
		if used := s.spools.InUse(); used > 3<<20+spoolFloor {
			t.Errorf("%d bytes are kept", used)
		}
	}
	if list, trailer := readRecord(t, stalled); len(list) != n || !trailer.Complete() {
		t.Errorf("who follows the second: %d events", len(list))
	}
}

// TestSpoolFull: where the disk is full, and a reader does not read, the session goes on,
// what was recorded is there, and the record says that the rest is missing.
func TestSpoolFull(t *testing.T) {
	if unix.Geteuid() != 0 {
		t.Skip("only root may mount a file system of a limited size")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=512k"); err != nil {
		t.Skipf("mount: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	const n = 20_000
	client, _ := startServer(t, func(c *Config) {
		c.newCommand = newFake(n)
		c.Spool = dir
	})
	for range 2 { // the second finds room: the first has ended
		s, err := client.Run(testContext(t), &RunRequest{Argv: []string{"fake"}, Env: []string{}, Cwd: "/"})
		if err != nil {
			t.Fatal(err)
		}
		harness.Eventually(t, "the session ends", func() bool {
			list, err := client.List(testContext(t))
			return err == nil && list[len(list)-1].Session == s.Session() && list[len(list)-1].State == "ended"
		})
		list, trailer := readRecord(t, s)
		s.Close()
		for i, e := range list {
			if e.Seq != uint64(i+1) {
				t.Fatalf("event %d has seq %d", i+1, e.Seq)
			}
		}
		if len(list) == 0 || len(list) == n || trailer.Counts.Total() != n {
			t.Errorf("%d events, counts %v", len(list), trailer.Counts)
		}
		gaps := trailer.Incomplete
		if len(gaps) != 1 || gaps[0].Reason != events.ReasonSpoolFull || !strings.Contains(gaps[0].Detail, "no space left") {
			t.Errorf("incomplete %+v", gaps)
		}
	}
}
