package ipc

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fstrace/fstrace/ipc/internal/varlink"
)

func testSpool(t testing.TB, limit int64) (*spool, *room) {
	t.Helper()
	b := &room{Budget: varlink.Budget{Limit: limit}, evict: func() bool { return false }}
	s, err := newSpool(t.TempDir(), b)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, _ = s.seal()
		s.close()
		if used := b.InUse(); used != 0 {
			t.Errorf("%d bytes are accounted for that nobody has", used)
		}
	})
	return s, b
}

func spoolLine(seq uint64, size int) []byte {
	return fmt.Appendf(nil, `{"seq":%d,"pad":"%s"}`+"\n", seq, strings.Repeat("x", size))
}

// readSpool reads what there is from a seq on.
func readSpool(t testing.TB, s *spool, from uint64) (seqs []uint64) {
	t.Helper()
	offset, err := s.seek(from)
	if err != nil {
		t.Fatal(err)
	}
	end, _, _ := s.state()
	var buf []byte
	for offset < end {
		if buf, err = s.read(buf, offset, end, 1000); err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(buf) {
			seqs = append(seqs, seqOf(line))
		}
		offset += int64(len(buf))
	}
	return seqs
}

func TestSpool(t *testing.T) {
	s, _ := testSpool(t, 1<<30)
	// Numbers with gaps, as filters leave them; lines longer than a read and than what
	// may be pending.
	var want []uint64
	for i := range uint64(5000) {
		seq, size := 3*i+1, 30
		if i == 7 || i == 4000 {
			size = 2 * spoolPending
		}
		s.append(seq, spoolLine(seq, size))
		want = append(want, seq)
	}
	if dropped, err := s.seal(); dropped != 0 || err != nil {
		t.Fatalf("%d dropped, %v", dropped, err)
	}
	for _, from := range []uint64{0, 1, 2, 4, 3000, 14998, 14999, 20000} {
		got := readSpool(t, s, from)
		rest := want
		for len(rest) > 0 && rest[0] < from {
			rest = rest[1:]
		}
		if fmt.Sprint(got) != fmt.Sprint(rest) {
			t.Errorf("from %d: %d events, want %d", from, len(got), len(rest))
		}
	}
}

// TestSpoolLive: a reader sees what has been written at once, and the end.
func TestSpoolLive(t *testing.T) {
	s, _ := testSpool(t, 1<<30)
	for seq := uint64(1); seq < 100; seq++ {
		before, _, changed := s.state()
		s.append(seq, spoolLine(seq, 5))
		select {
		case <-changed:
		case <-time.After(patience):
			t.Fatal("what is written does not show")
		}
		if now, finished, _ := s.state(); now <= before || finished {
			t.Fatalf("%d bytes after %d, finished %v", now, before, finished)
		}
	}
	_, _, changed := s.state()
	if _, err := s.seal(); err != nil {
		t.Fatal(err)
	}
	<-changed
	if _, finished, _ := s.state(); !finished {
		t.Error("the end does not show")
	}
}

// TestSpoolBudget: a spool that may not grow, and whose reader does not read, drops the
// rest, and what it has is whole.
func TestSpoolBudget(t *testing.T) {
	s, b := testSpool(t, 10_000)
	b.evict = s.trim
	r, _, err := s.follow(0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	const n = 1000
	for seq := uint64(1); seq <= n; seq++ {
		s.append(seq, spoolLine(seq, 100))
	}
	dropped, err := s.seal()
	if err == nil || dropped == 0 {
		t.Fatalf("%d dropped, %v", dropped, err)
	}
	got := readSpool(t, s, 0)
	if uint64(len(got))+dropped != n {
		t.Errorf("%d kept and %d dropped of %d", len(got), dropped, n)
	}
	for i, seq := range got {
		if seq != uint64(i+1) {
			t.Fatalf("event %d is %d", i+1, seq)
		}
	}
	if used := b.InUse(); used > 10_000 {
		t.Errorf("%d bytes in use", used)
	}
}
