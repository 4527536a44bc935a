package manifest

import (
	"slices"
	"strings"
)

// paths are all that were named, as a tree: a path is kept once, without what it
// shares with those beside it, and everything else points to it.
type paths struct {
	root  *origin
	all   arena[origin]
	names names
	// freed are paths that were dropped, and that lists of children may still have; free
	// those that may be used again.
	freed, free []*origin
}

func newPaths() *paths {
	p := &paths{}
	p.root = p.all.add(origin{info: &noInfo, more: &noDetails})
	return p
}

// child returns the path name in the directory o, and makes it known.
func (p *paths) child(o *origin, name string) *origin {
	if c := o.more.below.find(name); c != nil {
		return c
	}
	x := origin{parent: o, name: p.names.keep(name), info: &noInfo, more: &noDetails}
	var c *origin
	if last := len(p.free) - 1; last >= 0 {
		c = p.free[last]
		p.free, *c = p.free[:last], x
	} else {
		c = p.all.add(x)
	}
	o.edit().below.add(c)
	return c
}

// drop forgets a path. forgetDropped must be called of the children that it is among,
// and then release.
func (p *paths) drop(o *origin) {
	*o = origin{parent: &dropped, info: &noInfo, more: &noDetails}
	p.freed = append(p.freed, o)
}

// dropped is above the paths that were dropped.
var dropped = origin{info: &noInfo, more: &noDetails}

// release has the paths that were dropped used again.
func (p *paths) release() {
	p.free = append(p.free, p.freed...)
	clear(p.freed)
	p.freed = p.freed[:0]
}

// isDropped reports whether o was dropped.
func (o *origin) isDropped() bool { return o.parent == &dropped }

// at returns an absolute path, and makes it known.
func (p *paths) at(path string) *origin {
	o := p.root
	for name, rest := cut(path); name != ""; name, rest = cut(rest) {
		o = p.child(o, name)
	}
	return o
}

// find returns an absolute path if it is known, else nil.
func (p *paths) find(path string) *origin {
	o := p.root
	for name, rest := cut(path); name != ""; name, rest = cut(rest) {
		if o = o.more.below.find(name); o == nil {
			return nil
		}
	}
	return o
}

// cut takes the first component off an absolute path; both are "" if there is none.
func cut(path string) (name, rest string) {
	if path == "" {
		return "", ""
	}
	path = path[len("/"):]
	if i := strings.IndexByte(path, '/'); i >= 0 {
		return path[:i], path[i:]
	}
	return path, ""
}

// sorted returns the paths for which keep returns true, sorted as byte strings.
func (p *paths) sorted(keep func(*origin) bool) []*origin {
	list := make([]*origin, 0, p.all.len())
	add := func(o *origin) {
		if keep(o) {
			list = append(list, o)
		}
	}
	var addBelow func(o *origin)
	addBelow = func(o *origin) {
		below := slices.Clone(o.more.below.list)
		slices.SortFunc(below, func(a, b *origin) int { return strings.Compare(a.name, b.name) })
		// "a-b" comes after "a" and before "a/b": open are those of which what is below
		// them is still to come.
		var open []*origin
		closeBefore := func(name string) {
			for n := len(open); n > 0; n = len(open) {
				last := open[n-1]
				if rest, ok := strings.CutPrefix(name, last.name); ok && rest[0] < '/' {
					return
				}
				open = open[:n-1]
				addBelow(last)
			}
		}
		for _, c := range below {
			closeBefore(c.name)
			add(c)
			if len(c.more.below.list) > 0 {
				open = append(open, c)
			}
		}
		closeBefore("")
	}
	add(p.root)
	addBelow(p.root)
	return list
}
