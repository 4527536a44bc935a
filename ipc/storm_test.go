package ipc

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/fstrace/fstrace/testdata/harness"
)

// stress returns the size of a test: the large one under "make stress".
func stress(usual, large int) int {
	if os.Getenv("FSTRACE_STRESS") != "" {
		return large
	}
	return usual
}

// TestStormSessions: sessions that run at once have each the record that it has alone.
func TestStormSessions(t *testing.T) {
	client, _ := startServer(t, nil)
	root := t.TempDir()
	outlineOf := func(name string) ([]string, error) {
		dir := filepath.Join(root, name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(dir, "in"), []byte(name), 0o600); err != nil {
			return nil, err
		}
		s, err := client.Run(testContext(t), sh(dir, "cat in >out; mv out final; ls >/dev/null; test -e missing; (cat final >&2); exit 0"))
		if err != nil {
			return nil, err
		}
		defer s.Close()
		var c collector
		if err := s.Replay(&c); err != nil {
			return nil, err
		}
		lines := outline(c.list)
		for i := range lines {
			lines[i] = strings.ReplaceAll(lines[i], dir, "DIR")
		}
		return lines, nil
	}
	want, err := outlineOf("alone")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(want, func(line string) bool { return strings.Contains(line, "DIR/in") }) {
		t.Fatalf("the record lacks what was read:\n%s", strings.Join(want, "\n"))
	}
	var wait sync.WaitGroup
	for i := range stress(12, 100) {
		wait.Go(func() {
			got, err := outlineOf(fmt.Sprintf("session%d", i))
			if err != nil {
				t.Error(err)
			} else if !slices.Equal(got, want) {
				t.Errorf("session %d:\n%s\nalone:\n%s", i, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
	wait.Wait()
}

// heap is what is in use after a collection.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestStormEvents: none of many events is lost or comes twice, to one that reads as
// they come and to one that begins when all is over. Memory does not grow with them.
func TestStormEvents(t *testing.T) {
	n := stress(20_000, 1_000_000)
	client, _ := startServer(t, func(c *Config) { c.newCommand = newFake(n) })
	base := heap()
	count := func(s *Stream, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		last := uint64(0)
		for {
			u, err := s.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, line := range u.Events {
				if last++; seqOf(line) != last {
					t.Fatalf("seq %d, want %d", seqOf(line), last)
				}
				if last%100_000 == 0 {
					if now := heap(); now > base+32<<20 {
						t.Fatalf("after %d events %d bytes are in use, were %d", last, now, base)
					}
				}
			}
		}
		if last != uint64(n) {
			t.Errorf("%d events, want %d", last, n)
		}
	}
	s, err := client.Run(testContext(t), &RunRequest{Argv: []string{"fake"}, Env: []string{}, Cwd: "/"})
	count(s, err)
	if s, err = client.Subscribe(testContext(t), s.Session(), 0); err != nil {
		t.Fatal(err)
	}
	count(s, nil)
}

// TestStormStalled: one that does not read holds up nobody, costs no memory, and loses
// nothing.
func TestStormStalled(t *testing.T) {
	n := stress(8000, 500_000) // more than the sockets between us hold
	client, _ := startServer(t, func(c *Config) { c.newCommand = newFake(n) })
	request := &RunRequest{Argv: []string{"fake"}, Env: []string{}, Cwd: "/", Options: Options{Detach: true}}
	stalled, err := client.Run(testContext(t), request)
	if err != nil {
		t.Fatal(err)
	}
	defer stalled.Close()
	base := heap()
	var list []*Stream
	for range 5 {
		s, err := client.Subscribe(testContext(t), stalled.Session(), 0)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		list = append(list, s)
	}
	reader, err := client.Subscribe(testContext(t), stalled.Session(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	whole, err := io.Copy(io.Discard, reader.Record())
	if err != nil {
		t.Fatal(err)
	}
	if now := heap(); now > base+64<<20 {
		t.Errorf("%d bytes are in use, were %d", now, base)
	}
	for _, s := range append(list, stalled) {
		if got, err := io.Copy(io.Discard, s.Record()); err != nil || got != whole {
			t.Errorf("one that stalled has %d bytes, %v, want %d", got, err, whole)
		}
	}
}

// TestStormClientsGone: at whatever step a client goes away, its session ends; one that
// was told to go on does.
func TestStormClientsGone(t *testing.T) {
	client, s := startServer(t, func(c *Config) { c.newCommand = newWaiting(2000) })
	for step := range stress(6, 60) {
		request := &RunRequest{Argv: []string{"fake"}, Env: []string{}, Cwd: "/"}
		stream, err := client.Run(testContext(t), request)
		if err != nil {
			t.Fatal(err)
		}
		for range step { // some of them are there at once, the rest come as they come
			if u, err := stream.Next(); err != nil {
				t.Fatal(err)
			} else if len(u.Events) > 0 && seqOf(u.Events[len(u.Events)-1]) == 2000 {
				break
			}
		}
		stream.Close()
	}
	harness.Eventually(t, "the sessions end", func() bool {
		running, _, _ := s.registry.count()
		return running == 0
	})
	request := &RunRequest{Argv: []string{"fake"}, Env: []string{}, Cwd: "/", Options: Options{Detach: true}}
	stream, err := client.Run(testContext(t), request)
	if err != nil {
		t.Fatal(err)
	}
	stream.Close()
	harness.Eventually(t, "nobody follows the session", func() bool {
		list, err := client.List(testContext(t))
		if err != nil {
			t.Fatal(err)
		}
		last := list[len(list)-1]
		return last.Session == stream.Session() && last.Subscribers == 0 && last.State == "running"
	})
	if err := client.Cancel(testContext(t), stream.Session(), 0); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, "it ends", func() bool {
		return errors.Is(client.Cancel(testContext(t), stream.Session(), 0), ErrSessionEnded)
	})
}
