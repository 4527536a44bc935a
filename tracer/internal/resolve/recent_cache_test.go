package resolve

import (
	"testing"
	"time"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/tracer/internal/procfs"
)

// foundAt is what a resolver says of an existing file.
func foundAt(path string, ino uint64) *Result {
	return &Result{Set: true, As: path, Path: path, State: events.StateFile, Info: events.FileInfo{Ino: ino, Dev: 1, Mode: 0o100644}}
}

func TestLately(t *testing.T) {
	now := time.Now()
	var dirs dirCache
	var l recentCache
	l.keep(foundAt("/d/f", 1), &dirs, now)
	l.keep(foundAt("/f", 2), &dirs, now)
	l.keep(&Result{Set: true, Path: "/d/l", Real: "/d/g", State: events.StateFile, Info: foundAt("", 3).Info}, &dirs, now)
	l.keep(&Result{Set: true, Path: "/d/none", State: events.StateAbsent}, &dirs, now)
	l.keep(foundAt("/proc/1/status", 4), &dirs, now)
	for _, test := range []struct {
		base, name string
		want       uint64 // inode, 0 for not known
	}{
		{"", "/d/f", 1},
		{"/d", "f", 1},
		{"/d", "./f", 1},
		{"/d", "././f", 1},
		{"/", "f", 2},
		{"/", "d/f", 1},
		{"/d", "/f", 2},
		{"/d", "g", 3},
		{"/d", "l", 0}, // the link itself is for the resolver to note
		{"/d", "none", 0},
		{"/", "proc/1/status", 0},
		{"/d", "f/", 0},
		{"/d", "../f", 0},
		{"/d", "./", 0},
		{"/d", ".//f", 0},
		{"/d", "//f", 0},
	} {
		r, ok := l.find(test.base, []byte(test.name), now)
		if ok != (test.want != 0) || r.Info.Ino != test.want {
			t.Errorf("%s from %s: %v %+v, want inode %d", test.name, test.base, ok, r, test.want)
		}
		if ok && r.As != test.name {
			t.Errorf("%s from %s: as %q", test.name, test.base, r.As)
		}
	}
	if _, ok := l.find("/d", []byte("f"), now.Add(2*MaxAge)); ok {
		t.Error("still believed long after")
	}
}

// TestRecentChanged: what the session changes is looked at each time from then on.
func TestRecentChanged(t *testing.T) {
	now := time.Now()
	var dirs dirCache
	var l recentCache
	known := func(path string) bool {
		_, ok := l.find("", []byte(path), now)
		return ok
	}
	for i, path := range []string{"/a", "/b", "/d/f"} {
		l.keep(foundAt(path, uint64(i+1)), &dirs, now)
	}
	l.changing(events.OpWrite, &Result{Set: true, Path: "/link", Real: "/a", State: events.StateFile})
	l.keep(foundAt("/a", 2), &dirs, now) // by another process, before the call has run
	if known("/a") || !known("/b") {
		t.Errorf("/a is about to change: known %v, /b %v", known("/a"), known("/b"))
	}
	dirs.moving("/d", procfs.Inode{})
	l.forget()
	l.keep(foundAt("/d/f", 2), &dirs, now)
	l.keep(foundAt("/b", 2), &dirs, now)
	if known("/d/f") || !known("/b") {
		t.Errorf("/d is about to move: /d/f known %v, /b %v", known("/d/f"), known("/b"))
	}
	dirs.disable()
	l.forget()
	l.keep(foundAt("/b", 3), &dirs, now)
	if known("/b") {
		t.Error("known though mounts have changed")
	}
}

// TestLatelyBounds: its memory does not grow with what the session does.
func TestLatelyBounds(t *testing.T) {
	now := time.Now()
	var dirs dirCache
	var l recentCache
	for i := range 3 * maxRecent {
		l.keep(foundAt("/d/"+string(rune('a'+i%26))+time.Duration(i).String(), 1), &dirs, now)
		if len(l.found) > maxRecent {
			t.Fatalf("%d paths are remembered", len(l.found))
		}
	}
	for i := range maxChanged + 1 {
		l.changing(events.OpWrite, foundAt("/w/"+time.Duration(i).String(), 1))
	}
	l.keep(foundAt("/x", 1), &dirs, now)
	if _, ok := l.find("", []byte("/x"), now); ok || len(l.changedPaths) > 0 {
		t.Errorf("%d changes are remembered, /x known: %v", len(l.changedPaths), ok)
	}
}

// TestLatelyParent: a name that is made in a directory, or taken from it, changes the
// directory's times; what is written to a file that is there does not.
func TestLatelyParent(t *testing.T) {
	now := time.Now()
	var dirs dirCache
	in := func(name string, s events.State) *Result { return &Result{Set: true, Path: name, State: s} }
	for _, test := range []struct {
		op    events.Op
		r     *Result
		still bool
	}{
		{events.OpWrite, in("/d/f", events.StateFile), true},
		{events.OpChattr, in("/d/f", events.StateFile), true},
		{events.OpWrite, in("/d/f", events.StateAbsent), false},
		{events.OpCreate, in("/d/f", events.StateAbsent), false},
		{events.OpDelete, in("/d/f", events.StateFile), false},
		{events.OpRename, in("/d/f", events.StateDir), false},
		{events.OpWrite, &Result{Set: true, Path: "/e/l", Real: "/d/f", State: events.StateAbsent}, false},
		{events.OpCreate, in("/f", events.StateAbsent), true},
	} {
		var l recentCache
		dir := foundAt("/d", 1)
		dir.State = events.StateDir
		l.keep(dir, &dirs, now)
		l.changing(test.op, test.r)
		if _, ok := l.find("", []byte("/d"), now); ok != test.still {
			t.Errorf("%v %s %v: /d is known: %v", test.op, test.r.Path, test.r.State, ok)
		}
	}
}
