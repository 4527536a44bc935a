package manifest

import (
	"cmp"
	"encoding/hex"
	"slices"
	"time"

	"github.com/fstrace/fstrace/events"
	"golang.org/x/sys/unix"
)

// An outcome is what a session left behind. The fold predicted what its calls did; now
// that the session is over, the outcome looks at the files.
type outcome struct {
	fold     *fold
	fs       fileSystem
	hasher   *hasher
	m        *Manifest
	begin    time.Time          // of the session
	compact  bool               // without what explains the manifest
	outputs  map[string]*output // by path
	removed  map[string]bool
	lost     []*node        // which the session put somewhere, and which are not there
	remained map[*node]bool // that could not be renamed
	unmade   []string       // at which the session may have made something, and nothing is
	patterns *lockedPatterns
	// The origins below directories that were renamed, which nobody touched by
	// name, with the output that each has become.
	carriedAlong map[*origin]*output
}

type output struct {
	Entry
	node    *node
	facts   facts
	content bool
	sum     *[32]byte // of what it holds, once that has been read
	info    events.FileInfo
	movedAt time.Time // of what came along with its directory
}

// known returns what is known of a path before the session, nil if nothing.
func (x *outcome) known(path string) *origin {
	if o := x.fold.paths.find(path); o != nil && o.known {
		return o
	}
	return nil
}

// classify looks at every path that the session may have changed.
func (x *outcome) classify() {
	seen := make(map[string]bool, len(x.fold.changes))
	for i := 0; i < len(x.fold.changes); i++ {
		n := x.fold.changes[i]
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
	for _, n := range x.lost {
		if !x.remained[n] {
			x.fold.suspect(n.path(), "somebody else removed it")
		}
	}
}

// missing deals with a path at which nothing is at the end.
func (x *outcome) missing(n *node, path string) {
	before := x.before(path)
	if x.isLost(n) || x.isUnmoved(n) {
		x.lost = append(x.lost, n)
	}
	if n.attempt != predicted {
		x.unmade = append(x.unmade, path)
	}
	switch {
	case exists(before):
		if x.known(path).away {
			x.removed[path] = true
		}
	case n.seen, n.status == gone && n.past().went != nil: // made, and removed or renamed
		x.m.Temporary = append(x.m.Temporary, path)
		if o := x.known(path); o != nil {
			o.facts = 0 // a temporary is compared, and need not be an input as well
		}
	case n.status == made: // it could not be made
		x.unmade = append(x.unmade, path)
		if o := x.fold.tree.home(n); o != nil {
			o.away = false
		}
	}
}

// before is what stood at path before the session, absent if nobody asked: then
// the session made the directory, or was the first to touch it.
func (x *outcome) before(path string) events.State {
	if o := x.known(path); o != nil && o.state != events.StateNone {
		return o.state
	}
	return events.StateAbsent
}

// standing deals with a path at which something is.
func (x *outcome) standing(n *node, path string, s events.State, info *events.FileInfo) {
	o := x.known(path)
	was := o != nil && exists(o.state)
	// What was made here may have got the inode number of what was here before.
	same := was && o.state == s && isSame(o.info, info) && (n.status != made || o.info.Ctime == info.Ctime)
	if !x.fold.isDressed(n, 0, info) {
		x.fold.suspect(path, redressed)
	}
	switch {
	case n.status == made && n.attempt != tried && s != events.StateDir && info.Nlink > 1 && x.fold.retold[inodeOf(info)].names == 0:
		x.changed(path, "somebody else gave it another name")
	case !same:
	case x.fold.isRemade(n, info):
		x.changed(path, "somebody else made it")
	case x.isRelinked(n, o, info):
		x.changed(path, "somebody else made or removed another name of it")
	case x.isRedressed(path, o, info):
		x.changed(path, redressed)
	}
	switch {
	case n.status == gone && x.isAt(n.past().went, info):
		x.changed(path, "somebody else made it")
	case same && s != events.StateFile:
		if isReowned(o.info, info) || x.isRetimed(path, o.info, info) {
			x.put(n, path, s, info, false)
		}
	case same && !o.written:
		if isReowned(o.info, info) || x.isRetimed(path, o.info, info) {
			x.put(n, path, s, info, contentOf(o.info) != contentOf(info))
		}
	case same && *info == *o.info:
		// Opened for writing, and left as it was.
	case was && o.state == s && !o.info.Known() && n.status == found && !o.written:
		// A directory or a link that nobody looked at closely.
	case n.status == moved && n.from != nil && n.from.state == s && x.isRedressed(path, n.from, info):
		x.changed(path, redressed)
	case n.status == gone && !stayed(n, info):
		x.changed(path, "somebody else made it")
	case x.isExchanged(n, s, info):
		x.changed(path, "somebody else put something else in its place")
	default:
		if w := n.past().went; w != nil {
			x.remained[w] = true
		}
		x.put(n, path, s, info, true)
		if s == events.StateDir && n.status == moved {
			x.along(n, path, time.Unix(0, n.past().movedAt))
		}
	}
}

// isAt reports whether the file that info is of is at n, too: it cannot have been renamed
// to there and still be where it was.
func (x *outcome) isAt(n *node, info *events.FileInfo) bool {
	if n == nil || info.Mode&unix.S_IFMT == unix.S_IFDIR {
		return false
	}
	path := n.path()
	if path == "" {
		return false
	}
	there, err := x.fs.lstat(path)
	return err == nil && isSame(&there, info)
}

// isReowned reports whether a file has other permission bits, or another owner.
func isReowned(was, is *events.FileInfo) bool {
	return permissions(was.Mode) != permissions(is.Mode) || was.UID != is.UID || was.GID != is.GID
}

// isRetimed reports whether the session may have given a file another time.
func (x *outcome) isRetimed(path string, was, is *events.FileInfo) bool {
	at := x.fold.paths.find(path)
	return at != nil && at.accessed.has(events.OpChattr) && was.Mtime != is.Mtime
}

// stayed reports whether a file that the session put at n, and was to rename or to
// remove, is still there. Of a directory nothing would be known of what is in it.
func stayed(n *node, info *events.FileInfo) bool {
	was := n.past().was
	return was != nil && *info == *was && info.Mode&unix.S_IFMT != unix.S_IFDIR
}

// put adds an output, if it is not there already. Its fields are filled in by describe.
func (x *outcome) put(n *node, path string, s events.State, info *events.FileInfo, content bool) *output {
	out := x.outputs[path]
	if out == nil {
		out = &output{}
	}
	out.node, out.info, out.content = n, *info, (content || out.content) && s == events.StateFile
	out.Entry = newEntry(path, s)
	x.outputs[path] = out
	return out
}

// along adds what came to its place with a directory that was renamed.
func (x *outcome) along(dir *node, path string, at time.Time) {
	list, err := x.fs.readDir(path)
	if err != nil {
		x.changed(path, "list: "+err.Error())
		return
	}
	if o := dir.from; o != nil && o.more.listing == nil {
		o.edit().listing = &listed{names: list.names}
	}
	for _, typed := range list.names {
		name := nameOf(typed)
		child := x.fold.tree.child(dir, name)
		below := join(path, name)
		info, err := x.fs.lstat(below)
		s := stateOf(&info, err)
		if !exists(s) {
			continue
		}
		x.fold.correct(child, nil, s, &info) // it could not be removed, say
		if o := child.from; child.status == found && o != nil && o.known && isCertain(o.state) && o.state != s && !o.away {
			x.fold.suspect(below, "was "+o.state.String()+", is "+s.String()+" now")
			continue
		}
		if child.status != found || child.from == nil {
			continue // has been noted by itself
		}
		out := x.outputs[below] // chmod, say
		if out == nil {
			out = x.put(child, below, s, &info, true)
		}
		out.movedAt = at
		o := x.fold.origin(child, s, &info)
		edited := o.written && contentOf(o.info) != contentOf(&info)
		if !edited {
			o.ops |= opBit(events.OpRename)
			o.facts |= ruleRenameFrom.learns(s)
		}
		o.away = true
		if s == events.StateFile && !o.hashing && !edited {
			o.hashing = true
			if !o.written { // its guard has hashed it else
				x.carriedAlong[o] = out
			}
		}
		if s == events.StateSymlink && o.more.target == "" {
			target, err := x.fs.readlink(below)
			if err != nil {
				x.changed(below, "read link: "+err.Error())
			}
			o.edit().target = target
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
		id, err := x.fs.identify(out.Path)
		sum, ok := x.hasher.cache.get(&id)
		if err == nil && ok && id.FileInfo == out.info {
			// Known.
		} else {
			start := x.fold.now()
			var info events.FileInfo
			sum, info, failures[i] = hashFile(x.fs, out.Path, buf)
			out.info = info
			if failures[i] == nil && !isRacy(&info, start) && isSame(&info, &id.FileInfo) {
				x.hasher.cache.put(&identity{info, id.mount}, sum)
			}
		}
		out.sum = &sum
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
func (x *outcome) changed(path, detail string) { x.gap(path, &problem{events.ReasonChanged, detail}) }

func (x *outcome) gap(path string, p *problem) {
	x.fold.gaps = append(x.fold.gaps, events.Incomplete{Reason: p.reason, Detail: path + ": " + p.detail})
}

// incomplete returns what the manifest may miss: what the tracer says, and what was
// found out here, but for a process's reason that the tracer has given already.
func (x *outcome) incomplete(t *events.Trailer) []events.Incomplete {
	list := slices.Clone(t.Incomplete)
	if len(list) == 0 {
		x.fold.gaps = append(x.fold.gaps, x.fold.suspected...)
	}
	slices.SortFunc(x.fold.gaps, func(a, b events.Incomplete) int {
		return cmp.Or(cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.PID, b.PID), cmp.Compare(a.Detail, b.Detail))
	})
	for _, g := range x.fold.gaps {
		if g.PID == 0 || !slices.ContainsFunc(list, func(in events.Incomplete) bool { return in.Reason == g.Reason && in.PID == g.PID }) {
			list = append(list, g)
		}
	}
	return list
}
