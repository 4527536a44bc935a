package certain

import (
	"testing"

	"github.com/fstrace/fstrace/events"
)

func TestFails(t *testing.T) {
	const mkdir, rmdir = 1, 2
	for _, tt := range []struct {
		op            events.Op
		which         int
		first, second Path
		want          bool
	}{
		{events.OpDelete, 0, Path{"a", events.StateFile}, Path{}, false},
		{events.OpDelete, 0, Path{"a/", events.StateFile}, Path{}, true},
		{events.OpDelete, 0, Path{"a//", events.StateSymlink}, Path{}, true},
		{events.OpDelete, rmdir, Path{"a/", events.StateDir}, Path{}, false},
		{events.OpDelete, rmdir, Path{"a/.", events.StateDir}, Path{}, true},
		{events.OpDelete, rmdir, Path{"a/..//", events.StateDir}, Path{}, true},
		{events.OpDelete, rmdir, Path{".", events.StateDir}, Path{}, true},
		{events.OpDelete, rmdir, Path{"a.", events.StateDir}, Path{}, false},
		{events.OpDelete, rmdir, Path{"", events.StateDir}, Path{}, false},
		{events.OpRename, 0, Path{"a/", events.StateDir}, Path{"b/", events.StateAbsent}, false},
		{events.OpRename, 0, Path{"a", events.StateFile}, Path{"b/", events.StateAbsent}, true},
		{events.OpRename, 0, Path{"a", events.StateDir}, Path{"b/", events.StateSymlink}, true},
		{events.OpRename, 0, Path{"a", events.StateDir}, Path{"b/.", events.StateDir}, true},
		{events.OpRename, 0, Path{"a", events.StateDir}, Path{"b", events.StateAbsent}, false},
		{events.OpCreate, mkdir, Path{"a/", events.StateAbsent}, Path{}, false},
		{events.OpCreate, mkdir, Path{"a/", events.StateSymlink}, Path{}, true},
		{events.OpCreate, 0, Path{"a/", events.StateAbsent}, Path{}, true},
		{events.OpCreate, 0, Path{"a", events.StateFile}, Path{"b/", events.StateAbsent}, true},
		{events.OpWrite, 0, Path{"a/", events.StateAbsent}, Path{}, true},
		{events.OpStat, 0, Path{"a/", events.StateUnknown}, Path{}, false},
		{events.OpStat, 0, Path{"/", events.StateDir}, Path{}, false},
		{events.OpStat, 0, Path{".", events.StateDir}, Path{}, false},
	} {
		c := Call{Op: tt.op, MakesDir: tt.which == mkdir, RemovesDir: tt.which == rmdir, First: tt.first, Second: tt.second}
		if got := c.Fails(); got != tt.want {
			t.Errorf("%v %v %v: %v, want %v", tt.op, tt.first, tt.second, got, tt.want)
		}
	}
}
