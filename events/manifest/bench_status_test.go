package manifest

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/fstrace/fstrace/events"
	"golang.org/x/sys/unix"
)

// BenchmarkStatus is what a manifest costs at the end of a session that called lstat for
// 15,000 files and listed the 750 directories that they are in, as git status does: the
// processor time of the events and of the end.
func BenchmarkStatus(b *testing.B) {
	const files, perDir = 15_000, 20
	dir := b.TempDir()
	var list []events.Event
	add := func(op events.Op, syscall, path string, s events.State) {
		info, err := osFS{}.lstat(path)
		if err != nil {
			b.Fatal(err)
		}
		list = append(list, events.Event{PID: 1, TID: 1, Op: op, Syscall: syscall, Path: path, State: s, Info: info})
	}
	for i := range files {
		sub := filepath.Join(dir, fmt.Sprintf("src/lib%02d/package%03d", i/perDir/10, i/perDir))
		if i%perDir == 0 {
			if err := os.MkdirAll(sub, 0o755); err != nil {
				b.Fatal(err)
			}
		}
		path := filepath.Join(sub, fmt.Sprintf("file%02d.txt", i%perDir))
		if err := os.WriteFile(path, []byte("text\n"), 0o644); err != nil {
			b.Fatal(err)
		}
		add(events.OpStat, "lstat", path, events.StateFile)
		if i%perDir == perDir-1 {
			add(events.OpList, "getdents64", sub, events.StateDir)
		}
	}
	for i := range list {
		list[i].Time = time.Now().Add(time.Second)
	}
	var folding, ending time.Duration // of processors
	b.ReportAllocs()
	for b.Loop() {
		r, err := NewRecorder(io.Discard, Options{})
		if err != nil {
			b.Fatal(err)
		}
		if err := r.Begin(&events.Header{Argv: []string{"true"}, Cwd: dir}); err != nil {
			b.Fatal(err)
		}
		start := processorTime(b)
		for i := range list {
			if err := r.Event(&list[i]); err != nil {
				b.Fatal(err)
			}
		}
		middle := processorTime(b)
		if err := r.End(&events.Trailer{}); err != nil {
			b.Fatal(err)
		}
		ending += processorTime(b) - middle
		folding += middle - start
		r.Close()
		if len(r.Incomplete()) > 0 {
			b.Fatal(r.Incomplete())
		}
	}
	b.ReportMetric(folding.Seconds()*1e3/float64(b.N), "fold-ms")
	b.ReportMetric(ending.Seconds()*1e3/float64(b.N), "end-ms")
}

// processorTime is what this process has had of all processors.
func processorTime(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
