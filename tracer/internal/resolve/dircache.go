package resolve

import "github.com/fstrace/fstrace/tracer/internal/procfs"

// maxCachedDirs bounds the cache's memory. A build that touches more directories
// pays an lstat for each component of some paths.
const maxCachedDirs = 1 << 16

// A dirCache remembers canonical paths at which a directory stands, so that walks need
// not look at them again. It forgets a directory before the session removes or renames
// it, and never again remembers one of that name: the kernel does not say when such a
// call has run. A directory may have other names (bind mounts, directories that ignore
// case): it is distrusted under all of them, by its inode.
//
// A directory that a process outside the session replaces by a symbolic link is
// not noticed while the session runs.
type dirCache struct {
	known map[string]procfs.Inode
	// movedPaths are the paths at which the session removes or renames directories.
	movedPaths pathSet
	// movedDirs are these directories.
	movedDirs map[procfs.Inode]struct{}
	off       bool // mounts have changed: nothing is known
}

func (c *dirCache) has(path []byte) bool {
	dir, ok := c.known[string(path)]
	return ok && (len(c.movedDirs) == 0 || !c.isMoved(dir))
}

// isMoved reports whether the session removes or renames a directory, by whatever name.
func (c *dirCache) isMoved(dir procfs.Inode) bool {
	_, ok := c.movedDirs[dir]
	return ok
}

func (c *dirCache) add(path []byte, dir procfs.Inode) {
	if c.off || len(c.known) >= maxCachedDirs || len(c.movedPaths) > 0 && c.underMoved(string(path)) {
		return
	}
	if c.known == nil {
		c.known = make(map[string]procfs.Inode)
	}
	c.known[string(path)] = dir
}

func (c *dirCache) underMoved(path string) bool { return c.movedPaths.hasAbove(path) }

// removing is called before a directory is removed: it has no entries.
func (c *dirCache) removing(path string, dir procfs.Inode) {
	delete(c.known, path)
	c.distrust(path, dir)
}

// moving is called before a directory is renamed, or replaced by a rename.
func (c *dirCache) moving(path string, dir procfs.Inode) {
	names := []string{path}
	for known, is := range c.known {
		if is == dir && dir != (procfs.Inode{}) && known != path {
			names = append(names, known)
		}
	}
	for known := range c.known {
		for _, name := range names {
			if isBelow(known, name) {
				delete(c.known, known)
			}
		}
	}
	c.distrust(path, dir)
}

func (c *dirCache) distrust(path string, dir procfs.Inode) {
	if c.movedPaths == nil {
		c.movedPaths, c.movedDirs = make(pathSet), make(map[procfs.Inode]struct{})
	}
	c.movedPaths.add(path)
	if dir != (procfs.Inode{}) {
		c.movedDirs[dir] = struct{}{}
	}
	if len(c.movedPaths) > maxCachedDirs || len(c.movedDirs) > maxCachedDirs { // tmpfs has a new inode number each time
		c.disable()
	}
}

// disable is called when any path may come to mean something else.
func (c *dirCache) disable() {
	c.off, c.known, c.movedPaths, c.movedDirs = true, nil, nil, nil
}
