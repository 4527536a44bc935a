package manifest

import (
	"fmt"
	"io"
	"runtime"
	"testing"

	"github.com/fstrace/fstrace/events"
)

// lookUp passes to a recorder lookups of n different paths, in directories of so many
// each. Nothing is there.
func lookUp(tb testing.TB, r *Recorder, n, perDirectory int) {
	tb.Helper()
	if err := r.Begin(&events.Header{Session: "s", Argv: []string{"true"}, Cwd: "/"}); err != nil {
		tb.Fatal(err)
	}
	e := events.Event{PID: 1, TID: 1, Op: events.OpStat, Syscall: "newfstatat", State: events.StateAbsent}
	for i := range n {
		e.Path = fmt.Sprintf("/nowhere/in/directory-%05d/some-file-%07d", i/perDirectory, i)
		if err := r.Event(&e); err != nil {
			tb.Fatal(err)
		}
	}
}

// heap is how many bytes are alive.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what finalizers and pools have kept
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// foldSize is how many bytes a recorder has of each path that was looked up in vain.
func foldSize(tb testing.TB, n, perDirectory int) float64 {
	tb.Helper()
	r, err := NewRecorder(io.Discard, Options{})
	if err != nil {
		tb.Fatal(err)
	}
	defer r.Close()
	before := heap()
	lookUp(tb, r, n, perDirectory)
	size := float64(heap()-before) / float64(n)
	runtime.KeepAlive(r)
	return size
}

// TestFoldSize: what a recorder knows of a path, its name among it, is small. The heap
// that the collector leaves standing is twice as large.
func TestFoldSize(t *testing.T) {
	const paths, most = 100_000, 180
	for _, perDirectory := range []int{20, paths} {
		if got := foldSize(t, paths, perDirectory); got > most {
			t.Errorf("%.0f bytes a path, with %d in a directory; want at most %d", got, perDirectory, most)
		}
	}
}

// BenchmarkLookups folds lookups of different paths.
func BenchmarkLookups(b *testing.B) {
	const paths = 200_000
	for _, perDirectory := range []int{20, paths} {
		b.Run(fmt.Sprint(perDirectory), func(b *testing.B) {
			b.ReportAllocs()
			var size float64
			for b.Loop() {
				size = foldSize(b, paths, perDirectory)
			}
			b.ReportMetric(size, "B/path")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/paths, "ns/path")
		})
	}
}

// BenchmarkEnd finds that there is still nothing at paths that were looked up, and
// encodes the manifest.
func BenchmarkEnd(b *testing.B) {
	const paths = 200_000
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		r, err := NewRecorder(io.Discard, Options{})
		if err != nil {
			b.Fatal(err)
		}
		lookUp(b, r, paths, 20)
		b.StartTimer()
		if err := r.End(&events.Trailer{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/paths, "ns/path")
}
