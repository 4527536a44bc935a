package manifest

import (
	"encoding/hex"
	"slices"

	"github.com/fstrace/fstrace/events"
)

// inputs makes entries of the origins that are inputs, and sees whether anybody
// but the session has changed one meanwhile.
func (x *outcome) inputs() []Entry {
	var list []*origin
	for _, o := range x.origins {
		if o.isInput() && o.state != events.StateOther {
			list = append(list, o)
		}
	}
	children := x.childrenOf(list)
	entries := make([]Entry, len(list))
	problems := make([]string, len(list))
	parallel(len(list), func(i int) {
		entries[i], problems[i] = x.input(list[i], children)
	})
	for i, problem := range problems {
		if problem != "" {
			x.changed(list[i].path, problem)
		}
	}
	return entries
}

// input makes an entry of o; problem tells what is not as it should be. It is
// called for several at once.
func (x *outcome) input(o *origin, children map[string][]*origin) (e Entry, problem string) {
	e = Entry{Path: o.path, State: o.state, Ops: opsOf(o.ops), Size: unset, Mtime: unset, Target: o.target}
	switch o.state {
	case events.StateFile:
		e.Mode = permissions(o.info.Mode)
		if o.hashing {
			e.Size = o.info.Size
		} else if o.meta {
			e.Size, e.Mtime = o.info.Size, o.info.Mtime
		}
		if !o.info.Known() {
			return e, "could not be looked at in time"
		}
	case events.StateDir:
		e.Mode = permissions(o.info.Mode)
	}
	ours := o.written || o.away || o.retold || x.outputs[o.path] != nil || x.underRemoved(o.path)
	if o.state == events.StateFile && o.hashing {
		if e.SHA256, problem = x.sumOf(o, ours); problem != "" {
			return e, problem
		}
	}
	if o.listed {
		e.Names = x.names(o.path, o.names, children[o.path])
		e.Entries = hashNames(e.Names)
		changedHere := func(child *origin) bool { return child.away }
		if o.listedLate && !slices.ContainsFunc(children[o.path], changedHere) {
			return e, "its entries changed as it was listed"
		}
	}
	if ours {
		return e, ""
	}
	return e, x.verify(o, &e, children)
}

// sumOf returns the hash of what o held when it was first touched.
func (x *outcome) sumOf(o *origin, ours bool) (sum, problem string) {
	if out := x.carriedAlong[o]; out != nil {
		// Renaming a directory leaves what is in it alone.
		if isRacy(&out.info, out.movedAt) {
			return "", "changed when its directory was renamed, or after"
		}
		return out.SHA256, ""
	}
	j := x.hasher.result(&o.info)
	if j != nil && j.err != nil {
		j = x.again(o, j)
	}
	switch {
	case j == nil:
		return "", "could not be looked at in time"
	case j.err != nil:
		return "", "could not be read as it was: " + j.err.Error()
	case ours && j.info.Ctime != o.info.Ctime && !o.retold && !o.away:
		return "", "changed between its first use and the command's own change of it"
	}
	return hex.EncodeToString(j.sum[:]), ""
}

// again hashes what could not be hashed under the name that it had: it may have
// gone elsewhere with its directory.
func (x *outcome) again(o *origin, failed *hashJob) *hashJob {
	path := ""
	if o.node != nil && o.node.from == o.path {
		path = o.node.path()
	}
	if path == "" || path == failed.path {
		return failed
	}
	j := &hashJob{path: path, want: o.info, done: make(chan struct{})}
	x.hasher.run(j, make([]byte, bufferSize))
	if j.err != nil {
		return failed
	}
	return j
}

// verify looks whether an input that the session did not change is what it was.
func (x *outcome) verify(o *origin, e *Entry, children map[string][]*origin) (problem string) {
	info, err := x.fs.lstat(o.path)
	if s := stateOf(&info, err); s != o.state {
		return "was " + o.state.String() + ", is " + s.String() + " now"
	}
	switch o.state {
	case events.StateFile:
		return x.verifyFile(o, e, &info)
	case events.StateSymlink:
		if target, err := x.fs.readlink(o.path); err != nil || target != o.target {
			return "leads elsewhere now"
		}
	case events.StateDir:
		if permissions(info.Mode) != permissions(o.info.Mode) {
			return "its mode changed"
		}
		if o.listed && (!o.listInfo.Known() || info.Mtime != o.listInfo.Mtime || info.Ctime != o.listInfo.Ctime || isRacy(&o.listInfo, x.now())) {
			names, err := x.fs.readDir(o.path)
			if err != nil || !slices.Equal(x.names(o.path, names, children[o.path]), e.Names) {
				return "its entries changed"
			}
		}
	}
	return ""
}

func (x *outcome) verifyFile(o *origin, e *Entry, info *events.FileInfo) (problem string) {
	switch {
	case !o.hashing && !o.meta:
		if permissions(info.Mode) != permissions(o.info.Mode) {
			return "its mode changed"
		}
		return ""
	case contentOf(info) != contentOf(&o.info):
		return "changed"
	case !o.hashing:
		return ""
	}
	if j := x.hasher.result(&o.info); j != nil && !j.racy && *info == o.info {
		return ""
	}
	// Its times do not say for certain that it is the same: is what it holds?
	sum, _, err := hashFile(x.fs, o.path, make([]byte, bufferSize))
	if err != nil || hex.EncodeToString(sum[:]) != e.SHA256 {
		return "changed"
	}
	return ""
}

// underRemoved tells whether a directory above path was removed or renamed.
func (x *outcome) underRemoved(path string) bool {
	if len(x.removed) == 0 {
		return false
	}
	for path != "/" {
		path = parentOf(path)
		if x.removed[path] {
			return true
		}
	}
	return false
}

// childrenOf gathers, for each listed directory, what is known of its entries.
func (x *outcome) childrenOf(list []*origin) map[string][]*origin {
	children := make(map[string][]*origin)
	for _, o := range list {
		if o.listed {
			children[o.path] = nil
		}
	}
	if len(children) == 0 {
		return children
	}
	for _, o := range x.origins {
		parent := parentOf(o.path)
		if siblings, ok := children[parent]; ok && o.state != events.StateNone && o.path != "/" {
			children[parent] = append(siblings, o)
		}
	}
	return children
}

// names makes of what a directory has now what it had before the session changed it.
func (x *outcome) names(dir string, now []string, children []*origin) []string {
	drop := make(map[string]bool)
	others := make(map[string]string)
	for _, o := range children {
		name := baseOf(o.path)
		switch {
		case exists(o.state):
			if x.patterns.reports(o.path) {
				others[name] = typedName(o.state, name)
			}
		case o.away:
			drop[name] = true
		}
	}
	return adjust(now, func(name string) bool {
		path := join(dir, name)
		return drop[name] || path == x.m.Record || !x.patterns.reports(path)
	}, others)
}
