package manifest

import (
	"github.com/fstrace/fstrace/events"
)

// describe finds out which facts matter of each output: those that the session changed,
// and those that it learned of what now stands there.
func (x *outcome) describe() {
	for path, out := range x.outputs {
		o := x.standsFor(out)
		if o != nil {
			out.facts = o.facts
		}
		if n := out.node; n != nil && n.listed {
			out.facts |= factNames
		}
		if n := out.node; n != nil && n.linked {
			out.facts |= factLinks
		}
		// The owner of what was there before decided what the command may do, and the
		// owner who owns what is there now decides it the next time.
		if at := x.fold.paths.find(path); at != nil && (at.accessed.has(events.OpChattr) || exists(at.state) && at.facts.has(factOwner)) {
			out.facts |= factOwner
		}
		switch out.State {
		case events.StateFile:
			out.content = out.content || out.facts.has(factContent)
			if w := x.fold.written[inodeOf(&out.info)]; w != nil && w.shared {
				out.Shared, out.content = true, !w.appending
			}
		case events.StateSymlink:
			target, err := x.fs.readlink(path)
			if err != nil {
				x.changed(path, "read link: "+err.Error())
			}
			out.Target = target
			if n := out.node; n != nil && n.from != nil && n.status == moved && n.from.state == out.State && n.from.more.target != "" && n.from.more.target != target {
				x.fold.suspect(path, "leads elsewhere now")
			}
		case events.StateDir:
			if out.facts.has(factNames) {
				x.listOutput(out)
			}
		}
	}
}

// standsFor returns what stood somewhere before the session and is now this output; nil
// if the session made it.
func (x *outcome) standsFor(out *output) *origin {
	if out.node == nil { // another name of what the session changed
		return x.known(out.Path)
	}
	return out.node.from
}

// listOutput reads the names in a directory that the session listed.
func (x *outcome) listOutput(out *output) {
	list, err := x.fs.readDir(out.Path)
	if err != nil {
		x.changed(out.Path, "list: "+err.Error())
		return
	}
	out.Names = x.chosen(out.Path, list.names)
	if n := out.node; n != nil && n.from == nil {
		for _, typed := range out.Names {
			path := join(out.Path, nameOf(typed))
			if (n.below == nil || n.below.nodes[nameOf(typed)] == nil) && !x.hasher.owns(path) {
				x.fold.foreign(path)
			}
		}
	}
	out.Entries = hashNames(out.Names)
}

// chosen returns the names that a listing of dir counts, sorted.
func (x *outcome) chosen(dir string, names []string) []string {
	list := make([]string, 0, len(names))
	for _, typed := range names {
		if name := nameOf(typed); x.reports(dir, name) && (x.m.Record == "" || x.m.Record != join(dir, name)) {
			list = append(list, typed)
		}
	}
	sortNames(list)
	return list
}

// tellOutput fills in what is known of an output once it has been hashed.
func (x *outcome) tellOutput(out *output) {
	what := out.facts
	o := x.standsFor(out)
	if o == nil || !isSame(o.info, &out.info) || o.written || o.info.Mtime != out.info.Mtime {
		what &^= factStat // its times are the session's own
	}
	out.tell(what, &out.info)
	if out.UID == unset {
		out.Told.UID, out.Told.GID = int64(out.info.UID), int64(out.info.GID)
	}
	if out.Shared && !out.content {
		out.Size, out.Mtime, out.Told = unset, unset, untold
	}
}
