package ipc

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/events/manifest"
	"github.com/fstrace/fstrace/testdata/harness"
	"golang.org/x/sys/unix"
)

// hugeManifest returns a manifest of a file that takes long to hash: 1 TB, without
// blocks.
func hugeManifest(t testing.TB) []byte {
	t.Helper()
	const size = 1 << 40
	name := filepath.Join(t.TempDir(), "huge")
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(name, size); err != nil {
		t.Skipf("no sparse files of 1 TB here: %v", err)
	}
	e := entryOf(name, events.StateFile)
	e.SHA256, e.Size, e.Mode = fmt.Sprintf("%x", sha256.Sum256(nil)), size, 0o600
	return manifestOf(t, e)
}

// entryOf is an entry of which nothing matters but the state.
func entryOf(path string, s events.State) manifest.Entry {
	const unset = -1
	return manifest.Entry{
		Path: path, State: s, Size: unset, Mtime: unset, UID: unset, GID: unset, Links: unset,
		Told: manifest.Told{Mtime: unset, Links: unset, UID: unset, GID: unset},
	}
}

// manifestOf is the document of a manifest with these inputs.
func manifestOf(t testing.TB, inputs ...manifest.Entry) []byte {
	t.Helper()
	var doc bytes.Buffer
	m := &manifest.Manifest{Session: "x", Argv: []string{"x"}, Cwd: "/", Inputs: inputs}
	if err := m.Encode(&doc); err != nil {
		t.Fatal(err)
	}
	return doc.Bytes()
}

// cpuTime is the time that this process has had a processor for.
func cpuTime(t testing.TB) time.Duration {
	t.Helper()
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// beginCheck begins a check that takes long, and returns when it is under way.
func beginCheck(t testing.TB, client *Client, s *Server) (end func(), failed <-chan error) {
	t.Helper()
	ctx, cancel := context.WithCancel(testContext(t))
	t.Cleanup(cancel)
	result := make(chan error, 1)
	doc := hugeManifest(t)
	before := cpuTime(t)
	go func() {
		answer, err := client.Check(ctx, CheckRequest{Manifest: doc})
		if err == nil {
			err = fmt.Errorf("the answer is %+v", answer)
		}
		result <- err
	}()
	harness.Eventually(t, "the file is read", func() bool {
		select {
		case err := <-result:
			t.Fatal(err)
		default:
		}
		return s.inbox.InUse() > 0 && cpuTime(t)-before > 50*time.Millisecond
	})
	return cancel, result
}

// TestCheckCancelled: a check ends when its client goes away.
func TestCheckCancelled(t *testing.T) {
	client, s := startServer(t, nil)
	cancel, failed := beginCheck(t, client, s)
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	harness.Eventually(t, "it is not worked on any more", func() bool { return s.inbox.InUse() == 0 })
}

// TestCheckShutdown: a check does not hold up the server's end for longer than a client
// that does not read.
func TestCheckShutdown(t *testing.T) {
	client, s := startServer(t, func(c *Config) { c.Drain = 10 * time.Millisecond })
	_, failed := beginCheck(t, client, s)
	s.Shutdown(context.Background(), false)
	if err := <-failed; !errors.Is(err, ErrGone) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, syscall.ECONNRESET) {
		t.Error(err)
	}
	harness.Eventually(t, "it is not worked on any more", func() bool { return s.inbox.InUse() == 0 })
}
