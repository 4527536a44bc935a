package events

import "strings"

// A Name is a path as a program gave it, and what is there.
type Name struct {
	As    string
	State State
}

// IsFailing reports whether a call fails whatever else is there, because of the form of a
// path: one that ends in a slash and leads to something other than a directory, or one of
// rmdir or rename that ends in "." or "..". makesDir and removesDir are set for mkdir and
// rmdir. The second name is zero for calls with one path. See path_resolution(7).
func IsFailing(op Op, makesDir, removesDir bool, first, second Name) bool {
	mayMake := op == OpRename && first.State == StateDir
	switch {
	case op != OpRename && !removesDir:
	case endsInDots(first.As), endsInDots(second.As):
		return true
	}
	return first.isCutOff(makesDir) || second.isCutOff(mayMake)
}

// isCutOff reports whether n asks for a directory where none is, nor is being made.
func (n Name) isCutOff(makesDir bool) bool {
	if len(n.As) < 2 || n.As[len(n.As)-1] != '/' {
		return false
	}
	switch n.State {
	case StateFile, StateSymlink, StateOther:
		return true
	case StateAbsent:
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
