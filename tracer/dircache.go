package tracer

import "strings"

// maxCachedDirs bounds the cache's memory. A build that touches more directories
// pays an lstat for each component of some paths.
const maxCachedDirs = 1 << 16

// A dirCache remembers canonical paths at which a directory stands, so that walks
// need not look at them again. It forgets a directory before the session removes
// or renames it, and never again remembers one of that name: the kernel does not
// say when such a call has run.
//
// A directory that somebody outside the session replaces by a symbolic link is
// not noticed while the session runs.
type dirCache struct {
	known map[string]struct{}
	// shaky are paths that the session removes or renames directories at.
	shaky map[string]struct{}
	off   bool // mounts have changed: nothing is known
}

func (c *dirCache) has(path []byte) bool {
	_, ok := c.known[string(path)]
	return ok
}

func (c *dirCache) add(path []byte) {
	if c.off || len(c.known) >= maxCachedDirs || len(c.shaky) > 0 && c.underShaky(string(path)) {
		return
	}
	if c.known == nil {
		c.known = make(map[string]struct{})
	}
	c.known[string(path)] = struct{}{}
}

func (c *dirCache) underShaky(path string) bool {
	for {
		if _, ok := c.shaky[path]; ok {
			return true
		}
		i := strings.LastIndexByte(path, '/')
		if i <= 0 {
			return false
		}
		path = path[:i]
	}
}

// removing is told of a directory about to be removed: it has no entries.
func (c *dirCache) removing(path string) {
	delete(c.known, path)
	c.distrust(path)
}

// moving is told of a directory about to be renamed, or to be replaced so.
func (c *dirCache) moving(path string) {
	for known := range c.known {
		if known == path || strings.HasPrefix(known, path) && known[len(path)] == '/' {
			delete(c.known, known)
		}
	}
	c.distrust(path)
}

func (c *dirCache) distrust(path string) {
	if c.shaky == nil {
		c.shaky = make(map[string]struct{})
	}
	c.shaky[path] = struct{}{}
	if len(c.shaky) > maxCachedDirs {
		c.disable()
	}
}

// disable is told that any path may come to mean something else.
func (c *dirCache) disable() {
	c.off, c.known, c.shaky = true, nil, nil
}
