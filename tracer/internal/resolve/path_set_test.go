package resolve

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/fstrace/fstrace/events"
)

func TestPathSet(t *testing.T) {
	s := make(pathSet)
	s.add("/a/b")
	for path, want := range map[string]bool{"/a/b": true, "/a/b/c/d": true, "/a": false, "/a/bc": false, "/": false, "/c": false} {
		if s.hasAbove(path) != want {
			t.Errorf("%s: %v, want %v", path, !want, want)
		}
	}
}

// TestForeseeSize: what a session makes, changes and removes takes little memory, however
// long the paths, and none without bound.
func TestForeseeSize(t *testing.T) {
	dir := "/" + strings.Repeat("long/", 40)
	for what, test := range map[string]struct {
		calls int
		path  func(i int) string
	}{
		"one path":    {500_000, func(int) string { return dir + "t" }},
		"other paths": {30_000, func(i int) string { return fmt.Sprint(dir, i) }},
	} {
		r := ForHost()
		const limit = 12 << 20
		before := heap()
		most := before
		for i := range test.calls {
			// Most file systems give each file a new inode number.
			file := events.FileInfo{Dev: 1, Ino: uint64(2 * i), Nlink: 1, Mode: 0o100644}
			sub := events.FileInfo{Dev: 1, Ino: uint64(2*i + 1), Nlink: 2, Mode: 0o040755}
			path := test.path(i)
			r.Foresee(events.OpDelete, &Result{Set: true, Path: path, State: events.StateFile, Info: file}, &Result{})
			r.Foresee(events.OpDelete, &Result{Set: true, Path: path + ".d", State: events.StateDir, Info: sub}, &Result{})
			if i%10_000 == 9_999 {
				most = max(most, heap())
			}
		}
		if most > before+limit {
			t.Errorf("%s: %d bytes", what, most-before)
		}
		runtime.KeepAlive(r)
	}
}

// heap is how many bytes are alive.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
