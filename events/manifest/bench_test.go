package manifest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/fstrace/fstrace/events"
	"golang.org/x/sys/unix"
)

// BenchmarkCheck checks a manifest of 10,000 files that have not changed, with a
// warm cache, and for comparison calls lstat for each in a bare loop. x-of-stats is
// how many times as long the check takes.
func BenchmarkCheck(b *testing.B) {
	const files, perDir = 10_000, 100
	dir := b.TempDir()
	cache := openTestCache(b, filepath.Join(dir, "cache"))
	m := &Manifest{Session: "s", Argv: []string{"true"}, Cwd: dir}
	for i := range files {
		sub := filepath.Join(dir, fmt.Sprint("d", i/perDir))
		if i%perDir == 0 {
			if err := os.Mkdir(sub, 0o755); err != nil {
				b.Fatal(err)
			}
		}
		content := fmt.Sprintf("file %d\n", i)
		path := filepath.Join(sub, fmt.Sprintf("file%d.c", i))
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			b.Fatal(err)
		}
		m.Inputs = append(m.Inputs, Entry{
			Path: path, State: events.StateFile, SHA256: sumOf(content), Size: int64(len(content)), Mtime: unset, UID: unset, GID: unset, Links: unset, Told: untold, Mode: 0o644,
		})
	}
	for deadline := time.Now().Add(coarseGranularity); time.Now().Before(deadline); { // no longer racy
		if info, err := (osFS{}).lstat(m.Inputs[files-1].Path); err != nil || !isRacy(&info, time.Now()) {
			break
		}
	}
	checkAll := func() {
		list, err := Check(m, CheckOptions{Cache: cache})
		if err != nil || len(list) > 0 {
			b.Fatalf("%v %v", list, err)
		}
	}
	checkAll() // fills the cache
	var stats, checks time.Duration
	for b.Loop() {
		start := time.Now()
		var st unix.Stat_t
		for i := range m.Inputs {
			if err := unix.Lstat(m.Inputs[i].Path, &st); err != nil {
				b.Fatal(err)
			}
		}
		middle := time.Now()
		checkAll()
		checks += time.Since(middle)
		stats += middle.Sub(start)
	}
	b.ReportMetric(float64(checks.Nanoseconds())/float64(b.N)/files, "ns/input")
	b.ReportMetric(float64(stats.Nanoseconds())/float64(b.N)/files, "ns/stat")
	b.ReportMetric(float64(checks)/float64(stats), "x-of-stats")
}

// BenchmarkFold folds reads of different files, without their hashing.
func BenchmarkFold(b *testing.B) {
	fs := newFakeFS()
	f := newFold(fs, newHasher(fs, nil, fs.now), fs.now)
	e := events.Event{PID: 1, Op: events.OpStat, Syscall: "stat", State: events.StateFile, Info: events.FileInfo{Mode: unix.S_IFREG | 0o644, Ino: 1}}
	paths := make([]string, 1<<12)
	for i := range paths {
		paths[i] = fmt.Sprintf("/usr/include/dir%d/sub/file%d.h", i%64, i)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		e.Path = paths[i%len(paths)]
		f.event(&e)
		i++
	}
}

// BenchmarkDecode decodes, for a check, a manifest of 10,000 files.
func BenchmarkDecode(b *testing.B) {
	const files = 10_000
	m := &Manifest{Session: "s", Argv: []string{"true"}, Cwd: "/"}
	for i := range files {
		e := Entry{
			Path: fmt.Sprintf("/home/user/project/src/dir%d/file%d.c", i%100, i), State: events.StateFile,
			SHA256: sumOf("x"), Size: 1, Mtime: unset, UID: unset, GID: unset, Links: unset, Told: untold, Mode: 0o644, Ops: []events.Op{events.OpRead, events.OpStat},
		}
		m.Inputs = append(m.Inputs, e)
		m.Accesses = append(m.Accesses, Access{Path: e.Path, Op: events.OpRead, State: e.State, Process: -1, Syscall: "openat"})
	}
	var doc bytes.Buffer
	if err := m.Encode(&doc); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(doc.Len()))
	for b.Loop() {
		if _, err := DecodeCompared(bytes.NewReader(doc.Bytes())); err != nil {
			b.Fatal(err)
		}
	}
}
