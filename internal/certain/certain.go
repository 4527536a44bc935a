// Package certain knows calls that are certain to fail because of the form of a path,
// whatever other processes do: path_resolution(7), rmdir(2), rename(2).
//
// Both ends of a record need this. The tracer need not keep what such a call would
// change, and a manifest need not explain by it what is found later.
package certain

import (
	"strings"

	"github.com/fstrace/fstrace/events"
)

// A Call is a system call that takes one path or two. Second is zero for one.
type Call struct {
	Op            events.Op
	MakesDir      bool // mkdir
	RemovesDir    bool // rmdir, or unlinkat with AT_REMOVEDIR
	First, Second Path
}

// A Path is a path as a program gave it, and what is there.
type Path struct {
	As    string
	State events.State
}

// Fails reports whether the call is certain to fail: because a path ends in a slash and
// leads to something other than a directory, or because one of rmdir or rename ends in
// "." or "..".
func (c *Call) Fails() bool {
	if c.Op == events.OpRename || c.RemovesDir {
		if endsInDots(c.First.As) || endsInDots(c.Second.As) {
			return true
		}
	}
	renamesDir := c.Op == events.OpRename && c.First.State == events.StateDir
	return c.First.lacksDir(c.MakesDir) || c.Second.lacksDir(renamesDir)
}

// lacksDir reports whether p asks for a directory where none is. makesDir means that the
// call makes one if nothing is there.
func (p Path) lacksDir(makesDir bool) bool {
	if len(p.As) < 2 || p.As[len(p.As)-1] != '/' {
		return false
	}
	switch p.State {
	case events.StateFile, events.StateSymlink, events.StateOther:
		return true
	case events.StateAbsent:
		return !makesDir
	}
	return false
}

// endsInDots reports whether the last component of a path is "." or "..".
func endsInDots(path string) bool {
	path = strings.TrimRight(path, "/")
	base := path[strings.LastIndexByte(path, '/')+1:]
	return base == "." || base == ".."
}
