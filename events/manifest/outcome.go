package manifest

import (
	"encoding/hex"
	"time"

	"github.com/fstrace/fstrace/events"
)

// An outcome is what a session left behind. What its calls did was foretold; now
// that it is over, one can look.
type outcome struct {
	*fold
	m        *Manifest
	outputs  map[string]*output // by path
	removed  map[string]bool
	gaps     []events.Incomplete
	patterns *lockedPatterns
	// The origins below directories that were renamed, which nobody touched by
	// name, with the output that each has become.
	carriedAlong map[*origin]*output
}

type output struct {
	Entry
	node    *node
	content bool
	info    events.FileInfo
	movedAt time.Time // of what came along with its directory
}

// classify looks at every path that the session may have changed.
func (x *outcome) classify() {
	seen := make(map[string]bool, len(x.changes))
	for i := 0; i < len(x.changes); i++ {
		n := x.changes[i]
		path := n.path()
		if path == "" || seen[path] {
			continue
		}
		seen[path] = true
		info, err := x.fs.lstat(path)
		if s := stateOf(&info, err); exists(s) {
			x.standing(n, path, s, &info)
		} else if s == events.StateAbsent {
			x.missing(n, path)
		}
	}
}

// missing deals with a path at which nothing is at the end.
func (x *outcome) missing(n *node, path string) {
	before := x.before(path)
	switch {
	case exists(before):
		if x.origins[path].away {
			x.removed[path] = true
		}
	case n.seen:
		x.m.Temporary = append(x.m.Temporary, path)
	case n.status == made:
		x.failed(path)
	}
}

// failed notes that something could not be made: that depends on nothing being
// there, and on whether there is a directory to make it in.
func (x *outcome) failed(path string) {
	for {
		o := x.origins[path]
		if o == nil {
			o = &origin{path: path, state: events.StateAbsent}
			x.origins[path] = o
		}
		if o.state == events.StateAbsent {
			o.ops |= opBit(events.OpWrite)
			o.away = false
		}
		path = parentOf(path)
		if info, err := x.fs.lstat(path); stateOf(&info, err) != events.StateAbsent || path == "/" || x.below(path) {
			return
		}
	}
}

// below tells whether path is in a directory that the session made, or removed.
func (x *outcome) below(path string) bool { return x.tree.find(path).from == "" }

// before is what stood at path before the session, absent if nobody asked: then
// the session made the directory, or was the first to touch it.
func (x *outcome) before(path string) events.State {
	if o := x.origins[path]; o != nil && o.state != events.StateNone {
		return o.state
	}
	return events.StateAbsent
}

// standing deals with a path at which something is.
func (x *outcome) standing(n *node, path string, s events.State, info *events.FileInfo) {
	o := x.origins[path]
	was := o != nil && exists(o.state)
	same := was && o.state == s && isSame(&o.info, info)
	switch {
	case same && s != events.StateFile:
		if permissions(o.info.Mode) != permissions(info.Mode) {
			x.put(n, path, s, info, false)
		}
	case same && !o.written:
		if permissions(o.info.Mode) != permissions(info.Mode) {
			x.put(n, path, s, info, contentOf(&o.info) != contentOf(info))
		}
	case same && *info == o.info:
		// Opened for writing, and left as it was.
	case was && o.state == s && !o.info.Known() && n.status == found && !o.written:
		// A directory or a link that nobody looked at closely.
	case n.status == gone:
		x.changed(path, "somebody else made it")
	default:
		x.put(n, path, s, info, true)
		if s == events.StateDir && n.status == moved {
			x.along(n, path, n.movedAt)
		}
	}
}

// put adds an output.
func (x *outcome) put(n *node, path string, s events.State, info *events.FileInfo, content bool) *output {
	out := &output{node: n, content: content && s == events.StateFile, info: *info}
	out.Entry = Entry{Path: path, State: s, Size: unset, Mtime: unset, Before: x.before(path)}
	switch s {
	case events.StateFile, events.StateDir:
		out.Mode = permissions(info.Mode)
	case events.StateSymlink:
		out.Target, _ = x.fs.readlink(path)
	}
	x.outputs[path] = out
	if o := x.origins[path]; o != nil && o.appended {
		o.ops |= opBit(events.OpWrite)
	}
	return out
}

// along adds what came to its place with a directory that was renamed.
func (x *outcome) along(dir *node, path string, at time.Time) {
	names, err := x.fs.readDir(path)
	if err != nil {
		x.changed(path, "list: "+err.Error())
		return
	}
	for _, typed := range names {
		name := nameOf(typed)
		child := dir.child(name, join(path, name))
		if child.status != found || child.from == "" {
			continue // has been noted by itself
		}
		below := join(path, name)
		info, err := x.fs.lstat(below)
		s := stateOf(&info, err)
		if !exists(s) || x.outputs[below] != nil {
			continue
		}
		out := x.put(child, below, s, &info, true)
		out.movedAt = at
		o := x.origin(child, s, &info)
		if !o.written {
			o.ops |= opBit(events.OpRename)
		}
		o.away = true
		if s == events.StateFile && !o.hashing && !o.written {
			o.hashing = true
			x.carriedAlong[o] = out
		}
		if s == events.StateSymlink && o.target == "" {
			o.target = out.Target
		}
		if s == events.StateDir {
			x.along(child, below, at)
		}
	}
}

// hash reads what the outputs hold.
func (x *outcome) hash() {
	var list []*output
	for _, out := range x.outputs {
		if out.content {
			list = append(list, out)
		}
	}
	failures := make([]error, len(list))
	parallelFiles(len(list), func(i int, buf []byte) {
		out := list[i]
		sum, ok := x.hasher.cache.get(&out.info)
		if !ok {
			start := x.now()
			var info events.FileInfo
			sum, info, failures[i] = hashFile(x.fs, out.Path, buf)
			out.info = info
			if failures[i] == nil && !isRacy(&info, start) {
				x.hasher.cache.put(&info, sum)
			}
		}
		out.SHA256, out.Size = hex.EncodeToString(sum[:]), out.info.Size
	})
	for i, err := range failures {
		if err != nil {
			delete(x.outputs, list[i].Path)
			x.changed(list[i].Path, "read output: "+err.Error())
		}
	}
}

// changed notes that somebody else had a hand in it.
func (x *outcome) changed(path, detail string) {
	x.gaps = append(x.gaps, events.Incomplete{Reason: events.ReasonChanged, Detail: path + ": " + detail})
}
