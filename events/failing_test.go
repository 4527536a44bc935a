package events

import "testing"

func TestIsFailing(t *testing.T) {
	const mkdir, rmdir = 1, 2
	for _, tt := range []struct {
		op            Op
		which         int
		first, second Name
		want          bool
	}{
		{OpDelete, 0, Name{"a", StateFile}, Name{}, false},
		{OpDelete, 0, Name{"a/", StateFile}, Name{}, true},
		{OpDelete, 0, Name{"a//", StateSymlink}, Name{}, true},
		{OpDelete, rmdir, Name{"a/", StateDir}, Name{}, false},
		{OpDelete, rmdir, Name{"a/.", StateDir}, Name{}, true},
		{OpDelete, rmdir, Name{"a/..//", StateDir}, Name{}, true},
		{OpDelete, rmdir, Name{".", StateDir}, Name{}, true},
		{OpDelete, rmdir, Name{"a.", StateDir}, Name{}, false},
		{OpDelete, rmdir, Name{"", StateDir}, Name{}, false},
		{OpRename, 0, Name{"a/", StateDir}, Name{"b/", StateAbsent}, false},
		{OpRename, 0, Name{"a", StateFile}, Name{"b/", StateAbsent}, true},
		{OpRename, 0, Name{"a", StateDir}, Name{"b/", StateSymlink}, true},
		{OpRename, 0, Name{"a", StateDir}, Name{"b/.", StateDir}, true},
		{OpRename, 0, Name{"a", StateDir}, Name{"b", StateAbsent}, false},
		{OpCreate, mkdir, Name{"a/", StateAbsent}, Name{}, false},
		{OpCreate, mkdir, Name{"a/", StateSymlink}, Name{}, true},
		{OpCreate, 0, Name{"a/", StateAbsent}, Name{}, true},
		{OpCreate, 0, Name{"a", StateFile}, Name{"b/", StateAbsent}, true},
		{OpWrite, 0, Name{"a/", StateAbsent}, Name{}, true},
		{OpStat, 0, Name{"a/", StateUnknown}, Name{}, false},
		{OpStat, 0, Name{"/", StateDir}, Name{}, false},
		{OpStat, 0, Name{".", StateDir}, Name{}, false},
	} {
		if got := IsFailing(tt.op, tt.which == mkdir, tt.which == rmdir, tt.first, tt.second); got != tt.want {
			t.Errorf("%v %v %v: %v, want %v", tt.op, tt.first, tt.second, got, tt.want)
		}
	}
}
