package manifest

import (
	"slices"
	"time"

	"github.com/fstrace/fstrace/events"
)

// A fold takes a session's events in, one after the other, and knows what each
// path was before the session and what stands there now. It is for one goroutine.
type fold struct {
	fs     fileSystem
	hasher *hasher
	// listings are for the guard as well.
	listings *listings
	now      func() time.Time

	paths   *paths
	tree    *tree
	infos   arena[events.FileInfo]
	changes []*node // those that the session may have changed
	renamed []renaming
	written map[inode]*writing  // what the session may have written to, by whatever name
	retold  map[inode]retelling // files of which it may have changed the change time
	dressed map[inode]dressing  // files of which it may have changed mode or owner
	earlier [2]earlier          // of the files whose names or attributes the event may change
	stirred map[*origin]stir    // directories in which it may have made or removed names
	gaps    []events.Incomplete
	// suspected are changes that the session's own accesses do not explain. They count
	// only if the record has all accesses.
	suspected []events.Incomplete
	latest    time.Time // of the events
	mounted   []string  // where the session has mounted something, and the manifest says so

	volatile  map[string]struct{}
	external  externals
	processes processes
	accesses  accesses
	forgotten forgetter
}

type renaming struct {
	from *origin
	node *node
}

func newFold(fs fileSystem, h *hasher, now func() time.Time) *fold {
	p := newPaths()
	return &fold{
		fs: fs, hasher: h, listings: newListings(fs, h.owns, now), now: now, stirred: make(map[*origin]stir), paths: p, tree: newTree(p),
		written: make(map[inode]*writing), retold: make(map[inode]retelling), dressed: make(map[inode]dressing), volatile: make(map[string]struct{}),
		forgotten: newForgetter(),
	}
}

// event takes one event in.
func (f *fold) event(e *events.Event) {
	f.forget(e)
	f.step(e)
	if e.Time.After(f.latest) {
		f.latest = e.Time
	}
}

func (f *fold) step(e *events.Event) {
	f.earlier = [2]earlier{}
	if e.IsProcess() {
		f.processes.step(e)
		if f.processes.isFull() {
			f.forgetProcesses(keptProcesses)
		}
		return
	}
	if e.Op == events.OpConnect {
		f.external.connect(e.Address)
		return
	}
	if e.Path == "" && e.Real == "" {
		return // unreadable: the record is incomplete, or nothing that has a name
	}
	for i := range e.Ways {
		f.way(e, &e.Ways[i])
	}
	for i := range e.Links {
		f.hop(e, &e.Links[i])
	}
	for _, dir := range e.Left {
		if !isVolatile(dir) {
			_, n := f.tree.find(dir)
			f.tree.onWay(n)
		}
	}
	if isBlocked(e, subject(e), e.State) || isBlocked(e, e.To, e.ToState) {
		f.fail(e, &ruleAccess, &ruleAccess)
		return
	}
	if isFailing(e) {
		f.fail(e, ruleOf(e), toRule(e))
		return
	}
	f.noteInodes(e)
	switch e.Op {
	case events.OpWrite:
		f.write(e)
	case events.OpCreate:
		f.create(e)
	case events.OpDelete:
		f.delete(e)
	case events.OpRename:
		f.rename(e)
	default:
		if asksAttributes[e.Syscall] && exists(e.State) {
			f.external.add(External{Kind: ExternalAttributes, Descriptor: -1})
		}
		f.inspect(e, ruleOf(e), subject(e), e.State, &e.Info)
		if e.To != "" { // mount, pivot_root
			f.inspect(e, toRule(e), e.To, e.ToState, &e.ToInfo)
		}
		f.mounts(e)
	}
}

// subject is the path that an access is about in the end: a final symbolic link
// that the call follows is only on the way.
func subject(e *events.Event) string {
	if e.Real != "" {
		return e.Real
	}
	return e.Path
}

// hop notes a symbolic link on the way of an access.
func (f *fold) hop(e *events.Event, l *events.Link) {
	if isVolatile(l.Path) {
		return
	}
	_, n := f.tree.look(l.Path)
	if o := f.touch(n, e, events.StateSymlink, &noInfo); o != nil {
		known := o.facts.has(factTarget)
		o.ops |= opBit(events.OpReadlink)
		o.facts |= ruleLink.symlink
		switch {
		case !known && o.more.target == "":
			o.edit().target = l.Target
		case o.more.target != l.Target:
			f.deviates(n, e, "led elsewhere when the command came to it again")
		}
	}
}

// way notes what stands on the way of an access.
func (f *fold) way(e *events.Event, w *events.Way) {
	if isVolatile(w.Path) || w.State == events.StateOther {
		return
	}
	_, n := f.tree.look(w.Path)
	f.touch(n, e, w.State, &w.Info)
}

// inspect notes an access that neither makes nor removes a name nor writes to a file.
func (f *fold) inspect(e *events.Event, r *rule, path string, s events.State, info *events.FileInfo) {
	if f.isOutside(e, path, s, info) {
		return
	}
	at, n := f.tree.look(path)
	f.access(at, e, path, s)
	f.look(n, e, r, path, s, info)
	if e.Op == events.OpList {
		f.listings.take(path, false)
	}
	if r.on(s) == dresses {
		f.dress(e, info)
		if n = f.note(n); n.from != nil {
			n.from.retold, n.from.dressed = true, true
			n.from.retimed = n.from.retimed || setsTimes[e.Syscall]
		}
	}
}

// look notes that e learns what its rule says of what stands at n.
func (f *fold) look(n *node, e *events.Event, r *rule, path string, s events.State, info *events.FileInfo) {
	if o := f.touch(n, e, s, info); o != nil {
		f.learn(o, e, r.learns(s), path)
	} else if r.learns(s).has(factNames) && n.status == made {
		n.listed = true
	}
}

// pass notes that a call made or removed a name at n, or tried to: that depends on the
// directory.
func (f *fold) pass(n *node, e *events.Event, r *rule) {
	if up := n.parent(); r.parent && up != nil && up.from != nil {
		up.from.names = true
	}
	if r.parent {
		f.stir(n, e)
	}
}

// isOutside reports whether no cache could depend on path, and notes it then.
func (f *fold) isOutside(e *events.Event, path string, s events.State, info *events.FileInfo) bool {
	if path == "" || isNameless(path, info) {
		return true
	}
	if s != events.StateOther && !isVolatile(path) {
		return false
	}
	own := false
	if s == events.StateOther && !isVolatile(path) {
		if _, n := f.tree.look(path); n.status == made {
			n.seen, own = true, true // the session's own pipe or socket
		}
	}
	if s == events.StateOther && !own {
		f.external.note(e, path, info)
	}
	f.volatile[path] = struct{}{}
	return true
}

// touch notes what an access found at n. It returns the origin of what it found,
// nil if that was not there before the session or holds what the session wrote.
func (f *fold) touch(n *node, e *events.Event, s events.State, info *events.FileInfo) *origin {
	f.vanished(n, e, s, info)
	f.correct(n, e, s, info)
	f.expect(n, e, s, info)
	switch {
	case n.status == made:
		if exists(s) {
			n.seen, n.removed = true, false
			f.hasher.own("", info)
		}
		return nil
	case n.status == gone:
		return nil
	case n.from == nil: // below what the session made
		if exists(s) && !n.seen {
			n.seen = true
			f.unforeseen(n)
		}
		return nil
	}
	o := f.origin(n, s, info)
	w := f.written[inodeOf(info)]
	switch {
	case w != nil && contentOf(info) == contentOf(&w.info) && (ruleOf(e).file.has(factContent) || !w.inherited):
		// It could not be opened for writing, or has not been written to yet. (Who is
		// started with a file to write to looks at it first, and means nothing by it.)
	case o.written:
		return nil
	case w == nil, !info.Known(), s != events.StateFile:
	case w.names > 0: // another name of it
		w.names++
		o.written = true
		f.note(n)
		if _, retold := f.retold[inodeOf(info)]; !retold {
			// What it holds is the session's, but the name was there before.
			o.ops |= opBit(e.Op)
			o.facts |= factState
		}
		return nil
	default:
		o.edit().doubt = "has the inode number of a file that the command wrote and removed"
	}
	return o
}

// unforeseen deals with something in a directory that the session made, of which no call
// was predicted to put it there: either the session did so after all, or another process.
// Of two calls at once, the one that makes the directory may be reported last.
func (f *fold) unforeseen(n *node) {
	path := n.path()
	if slices.ContainsFunc(f.mounted, func(dir string) bool { return isWithin(path, dir) }) {
		return // which the manifest is incomplete for
	}
	if !f.hasher.owns(path) {
		f.foreign(path)
		return
	}
	n.status, n.seen = made, true
	f.note(n)
}

// foreign notes that another process put something into a directory that the session
// made. It is no input, since it was not there before, and no output.
func (f *fold) foreign(path string) {
	f.gaps = append(f.gaps, events.Incomplete{
		Reason: events.ReasonChanged, Detail: path + ": somebody else put it into a directory that the command made",
	})
}

// origin returns what stood at n before the session, and notes its state if this
// is the first touch.
func (f *fold) origin(n *node, s events.State, info *events.FileInfo) *origin {
	o := n.from
	o.known = true
	f.tree.stands(o, n)
	if o.state == events.StateNone {
		if exists(s) {
			f.noteForgotten(o, info)
		}
		o.state = s
		if !f.isAsListed(o) {
			f.suspect(n.path(), "came or went after the command had listed the directory")
		}
	}
	if (!o.info.Known() || o.late) && info.Known() && s == o.state {
		if l := o.more.listing; l != nil && !isSame(&l.info, info) {
			l.unread, l.late = true, false // another was there when it was read
		}
		o.info, o.late = f.infos.add(*info), false
		r := f.retold[inodeOf(info)]
		if r.names > 0 {
			o.info.Nlink = r.nlink
		}
		if r.attributes && (r.mode != info.Mode || r.uid != info.UID || r.gid != info.GID) { // by another name
			o.info.Mode, o.info.UID, o.info.GID, o.retold = r.mode, r.uid, r.gid, true
			f.note(n)
		}
	}
	return o
}

// access notes that e was made by a path, at which s was found.
func (f *fold) access(at *origin, e *events.Event, path string, s events.State) {
	f.accesses.add(at, e, path, s, f.processes.current(e.PID))
}

// note puts n on the list of what is to be looked at in the end. It returns n, or the
// node in the tree that n has become.
func (f *fold) note(n *node) *node {
	if n = f.tree.keep(n); !n.noted {
		n.noted = true
		f.changes = append(f.changes, n)
	}
	return n
}

func hasFlag(e *events.Event, name string) bool { return slices.Contains(e.Flags, name) }
