package ipc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/testdata/harness"
)

// TestSpoolTrim: a spool that may not grow gives up what its readers have read, before it
// drops anything.
func TestSpoolTrim(t *testing.T) {
	const n = 20_000
	for _, readers := range []int{0, 1, 2} {
		t.Run(fmt.Sprint(readers), func(t *testing.T) {
			s, b := testSpool(t, 1<<20) // of 2.5 MB
			b.evict = s.trim
			done := make(chan uint64, readers)
			for range readers {
				r, offset, err := s.follow(0)
				if err != nil {
					t.Fatal(err)
				}
				go func() {
					defer r.close()
					done <- readAll(s, r, offset)
				}()
			}
			for seq := uint64(1); seq <= n; seq++ {
				s.append(seq, spoolLine(seq, 100))
			}
			if dropped, err := s.seal(); dropped != 0 || err != nil {
				t.Fatalf("%d dropped, %v", dropped, err)
			}
			for range readers {
				if got := <-done; got != n {
					t.Errorf("a reader got %d events", got)
				}
			}
			if used := b.InUse(); used > 1<<20 {
				t.Errorf("%d bytes in use", used)
			}
			_, _, err := s.follow(1)
			var gone errTrimmed
			if !errors.As(err, &gone) || gone.first < 2 || gone.first > n+1 {
				t.Fatalf("from the beginning: %v, %+v", err, gone)
			}
			r, offset, err := s.follow(gone.first)
			if err != nil {
				t.Fatal(err)
			}
			if got := readAll(s, r, offset); got != n-gone.first+1 {
				t.Errorf("from %d on: %d events", gone.first, got)
			}
			r.close()
		})
	}
}

// readAll reads a spool as it is written, and counts the events, which must come in their
// order.
func readAll(s *spool, r *reader, offset int64) (count uint64) {
	var buf []byte
	var err error
	before := uint64(0)
	for {
		end, finished, changed := s.state()
		for offset < end {
			if buf, err = s.read(buf, offset, end, 10_000); err != nil {
				return 0
			}
			for line := range strings.Lines(string(buf)) {
				seq := seqOf([]byte(line))
				if before != 0 && seq != before+1 {
					return 0
				}
				before = seq
				count++
			}
			offset += int64(len(buf))
			r.advance(offset)
		}
		if finished {
			return count
		}
		<-changed
	}
}

// TestSpoolFullOnlyUnread: a record is incomplete because of a lack of space only if
// somebody wants to read it and does not; also where another such has taken all the room.
func TestSpoolFullOnlyUnread(t *testing.T) {
	const n = 40_000 // over 4 MB
	client, s := startServer(t, func(c *Config) {
		c.newCommand = newFake(n)
		c.Limits.SpoolBytes = 3 << 20
	})
	ctx := testContext(t)
	fakeRun := func(o Options) *Stream {
		t.Helper()
		stream, err := client.Run(ctx, &RunRequest{Argv: []string{"fake"}, Env: []string{}, Cwd: "/", Options: o})
		if err != nil {
			t.Fatal(err)
		}
		return stream
	}
	complete := func(what string, stream *Stream, count int) {
		t.Helper()
		list, trailer := readRecord(t, stream)
		if len(list) != count || !trailer.Complete() {
			t.Errorf("%s: %d events, %+v", what, len(list), trailer.Incomplete)
		}
		stream.Close()
	}
	read := fakeRun(Options{})
	complete("read", read, n)
	if err := subscribeError(t, client, read.Session()); !errors.Is(err, ErrReplayGone) || !strings.Contains(err.Error(), "had been read") {
		t.Errorf("read once: %v", err)
	}
	if _, err := client.Record(ctx, read.Session()); !errors.Is(err, ErrReplayGone) {
		t.Errorf("record: %v", err)
	}
	no := false
	complete("not wanted", fakeRun(Options{Events: &no}), 0)

	stalled := fakeRun(Options{})
	defer stalled.Close()
	harness.Eventually(t, "the room is taken", func() bool { return s.spools.InUse() > 5<<19 })
	complete("beside one that is not read", fakeRun(Options{}), n)
	harness.Eventually(t, "it ends", func() bool {
		list, err := client.List(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for i := range list {
			if list[i].Session == stalled.Session() {
				return list[i].State == "ended"
			}
		}
		return false
	})
	list, trailer := readRecord(t, stalled)
	gaps := trailer.Incomplete
	if len(list) == n || len(gaps) != 1 || gaps[0].Reason != events.ReasonSpoolFull {
		t.Errorf("not read: %d events, %+v", len(list), gaps)
	}
	if _, err := io.Copy(io.Discard, stalled.Record()); err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
