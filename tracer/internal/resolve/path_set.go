package resolve

import (
	"hash/maphash"
	"strings"
)

// A pathSet has the hashes of paths. A path that was not added may seem to be in it: that
// path is then looked up more often than it has to be.
type pathSet map[uint64]struct{}

var pathSeed = maphash.MakeSeed()

func (s pathSet) add(path string) { s[maphash.String(pathSeed, path)] = struct{}{} }

func (s pathSet) has(path string) bool {
	_, ok := s[maphash.String(pathSeed, path)]
	return ok
}

// hasAbove reports whether s has a path, or a directory on it.
func (s pathSet) hasAbove(path string) bool {
	for {
		if s.has(path) {
			return true
		}
		i := strings.LastIndexByte(path, '/')
		if i <= 0 {
			return false
		}
		path = path[:i]
	}
}
