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
	problems := make([]*problem, len(list))
	parallel(len(list), func(i int) {
		entries[i], problems[i] = x.input(list[i], children)
	})
	for i, p := range problems {
		if p != nil {
			x.gap(list[i].path, p)
		}
	}
	isTold := func(e Entry) bool { return e.State != events.StateSymlink || e.Target != "" }
	return slices.DeleteFunc(entries, func(e Entry) bool { return !isTold(e) })
}

// A problem is why it cannot be told in which state the command found an input.
type problem struct {
	reason events.Reason
	detail string
}

func changed(detail string) *problem { return &problem{events.ReasonChanged, detail} }

// input makes an entry of o. It is called for several at once.
func (x *outcome) input(o *origin, children map[string][]*origin) (e Entry, p *problem) {
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
			return e, changed("could not be looked at in time")
		}
	case events.StateDir:
		e.Mode = permissions(o.info.Mode)
	}
	ours := o.written || o.away || o.retold || x.outputs[o.path] != nil || x.underRemoved(o.path)
	switch {
	case o.doubt != "":
		return e, changed(o.doubt)
	case o.state == events.StateSymlink && e.Target == "":
		return e, changed("could not be read in time")
	case o.state == events.StateFile && o.hashing:
		if e.SHA256, p = x.sumOf(o, ours); p != nil {
			return e, p
		}
		if e.SHA256 == "" {
			e.Size = unset
			if o.meta {
				e.Size, e.Mtime = o.info.Size, o.info.Mtime
			}
		}
	}
	if l := o.listing; l != nil {
		if l.unread {
			x.listLate(o)
		}
		e.Names = x.names(o.path, l.names, children[o.path])
		e.Entries = hashNames(e.Names)
		changedHere := func(child *origin) bool { return child.away }
		if l.late && !slices.ContainsFunc(children[o.path], changedHere) {
			return e, changed("its entries changed as it was listed")
		}
	}
	if ours {
		return e, nil
	}
	if detail := x.verify(o, &e, children); detail != "" {
		return e, changed(detail)
	}
	return e, nil
}

// listLate reads the names in a directory that has another name by now. One that was
// removed held nothing more then.
func (x *outcome) listLate(o *origin) {
	path := x.wentTo(o)
	if info, err := x.fs.lstat(path); err == nil && (isSame(&o.info, &info) || !o.info.Known()) {
		o.listing.names, _ = x.fs.readDir(path)
		o.listing.info = info
	}
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
		if l := o.listing; l != nil && (!l.info.Known() || info.Mtime != l.info.Mtime || info.Ctime != l.info.Ctime || isRacy(&l.info, x.now())) {
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
		if o.listing != nil {
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
