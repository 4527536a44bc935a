package manifest

import (
	"github.com/fstrace/fstrace/events"
)

// write notes a call that opens a file for writing, makes it by opening, or
// changes its size.
func (f *fold) write(e *events.Event) {
	path := subject(e)
	if f.isOutside(e, path, e.State, &e.Info) {
		return
	}
	at, n := f.tree.find(path)
	f.access(at, e, path, e.State)
	rule := writeRule(e)
	f.pass(n, e, rule)
	switch rule.on(e.State) {
	case keeps: // EISDIR, EEXIST, ENOENT; O_TMPFILE: a file without a name
		f.look(n, e, rule, path, e.State, &e.Info)
		return
	case makes:
		f.make(n, e, path, e.State, &e.Info)
		return
	}
	o := f.touch(n, e, e.State, &e.Info)
	delete(f.forgotten.isDead, inodeOf(&e.Info))
	if w := f.written[inodeOf(&e.Info)]; w != nil {
		w.shared = w.shared && rule == &ruleInherited
	} else if e.Info.Known() {
		f.written[inodeOf(&e.Info)] = &writing{
			info: e.Info, names: int(max(e.Info.Nlink, 1)), inherited: e.Syscall == "",
			shared: rule == &ruleInherited, appending: hasFlag(e, "O_APPEND"),
		}
	}
	if o == nil {
		f.note(n)
		return
	}
	f.learn(o, e, rule.learns(e.State), path)
	o.written = true
	f.note(n)
}

// make notes that the session puts something at n, where s was before.
func (f *fold) make(n *node, e *events.Event, path string, s events.State, info *events.FileInfo) {
	f.overwrite(n, e, ruleMake.learns(s), path, s, info)
	below := n.below
	f.tree.replace(n, made, nil)
	n.begins(e)
	if s == events.StateAbsent && below != nil {
		n.adopt(below)
	}
	f.hasher.own(n.path(), &noInfo)
	f.note(n)
}

// overwrite notes that what is at n is about to be removed from there.
func (f *fold) overwrite(n *node, e *events.Event, what facts, path string, s events.State, info *events.FileInfo) {
	if o := f.touch(n, e, s, info); o != nil {
		f.learn(o, e, what, path)
	}
	if n.from != nil {
		f.origin(n, s, info).away = true
	}
}

// create notes a call that makes a directory, a link, a device or a socket.
func (f *fold) create(e *events.Event) {
	if e.To != "" {
		f.link(e)
		return
	}
	if isVolatile(e.Path) {
		f.volatile[e.Path] = struct{}{}
		return
	}
	at, n := f.tree.find(e.Path)
	f.access(at, e, e.Path, e.State)
	f.pass(n, e, &ruleMake)
	if ruleMake.on(e.State) == makes {
		f.make(n, e, e.Path, e.State, &e.Info)
		return
	}
	if !f.isOutside(e, e.Path, e.State, &e.Info) { // EEXIST
		f.look(n, e, &ruleMake, e.Path, e.State, &e.Info)
	}
}

// link notes a hard link: a second name, which the session makes, for content
// that it need not have made.
func (f *fold) link(e *events.Event) {
	path := subject(e)
	if isVolatile(e.To) { // across file systems: EXDEV
		return
	}
	if !f.isOutside(e, path, e.State, &e.Info) {
		at, n := f.tree.find(path)
		f.access(at, e, path, e.State)
		f.pass(n, e, &ruleLinkFrom)
		if o := f.touch(n, e, e.State, &e.Info); o != nil {
			o.retold = o.retold || e.State == events.StateFile
			f.learn(o, e, ruleLinkFrom.learns(e.State), path)
		}
	}
	at, to := f.tree.find(e.To)
	f.access(at, e, e.To, e.ToState)
	f.pass(to, e, &ruleMake)
	if ruleMake.on(e.ToState) != makes || ruleLinkFrom.on(e.State) != links { // EEXIST, ENOENT, EPERM
		f.look(to, e, &ruleMake, e.To, e.ToState, &e.ToInfo)
		return
	}
	f.make(to, e, e.To, e.ToState, &e.ToInfo)
	to.linked = true
}

// delete notes unlink and rmdir.
func (f *fold) delete(e *events.Event) {
	if isVolatile(e.Path) {
		f.volatile[e.Path] = struct{}{}
		return
	}
	at, n := f.tree.find(e.Path)
	f.access(at, e, e.Path, e.State)
	rule := ruleOf(e)
	f.pass(n, e, rule)
	isDir := e.State == events.StateDir
	if isDir {
		defer f.listings.take(e.Path, false)
	}
	if rule.on(e.State) != removes { // ENOENT, EISDIR, ENOTDIR
		f.look(n, e, rule, e.Path, e.State, &e.Info)
		return
	}
	f.correct(n, e, e.State, &e.Info)
	left := n.from
	f.overwrite(n, e, rule.learns(e.State), e.Path, e.State, &e.Info)
	n.begins(e)
	f.note(n)
	// A directory is removed only if it is empty, which is not known: what was in
	// it has been removed by name. If it is made again, that is seen.
	f.forgotten.removals++
	if left == nil {
		f.died(&e.Info)
	}
	if isDir {
		n.removed = n.status == made
		return
	}
	seen := n.seen
	f.tree.replace(n, gone, nil)
	n.seen = seen
	c := n.edit()
	c.left, c.was = left, infoCopy(&e.Info)
}

// rename notes that a file or a directory, with all that is in it, gets another name.
func (f *fold) rename(e *events.Event) {
	if isVolatile(e.Path) || isVolatile(e.To) || e.Path == e.To || isSame(&e.Info, &e.ToInfo) {
		// EXDEV; or both are names of one file, and nothing happens.
		f.inspect(e, &ruleRenameSame, e.Path, e.State, &e.Info)
		f.inspect(e, &ruleRenameSame, e.To, e.ToState, &e.ToInfo)
		return
	}
	at, from := f.tree.find(e.Path)
	toAt, to := f.tree.find(e.To)
	f.access(at, e, e.Path, e.State)
	f.access(toAt, e, e.To, e.ToState)
	swap := hasFlag(e, "RENAME_EXCHANGE")
	if e.State == events.StateDir {
		defer f.listings.take(e.Path, false)
	}
	if e.ToState == events.StateDir {
		defer f.listings.take(e.To, false)
	}
	f.pass(from, e, &ruleRenameFrom)
	f.pass(to, e, &ruleRenameTo)
	// If what is there shows that an earlier call failed, its prediction is undone,
	// and there may be other nodes at the paths.
	if !f.canRename(e, from, to, swap) {
		f.look(from, e, &ruleRenameFrom, e.Path, e.State, &e.Info)
		_, to = f.tree.find(e.To)
		f.look(to, e, toRule(e), e.To, e.ToState, &e.ToInfo)
		return
	}
	a := f.carried(from, e, e.Path, e.State, &e.Info)
	_, to = f.tree.find(e.To)
	var b *origin
	if swap {
		b = f.carried(to, e, e.To, e.ToState, &e.ToInfo)
		_, from = f.tree.find(e.Path)
	}
	f.forgotten.removals++
	from.begins(e)
	to.begins(e)
	from.edit().movedAt, to.edit().movedAt = e.Time.UnixNano(), e.Time.UnixNano()
	if swap {
		f.carryForgotten(at, toAt)
		f.carryForgotten(toAt, at)
		f.tree.exchange(from, to)
		from.edit().exchanged, to.edit().exchanged = true, true
		f.renamed = append(f.renamed, renaming{a, from}, renaming{b, to})
	} else {
		f.overwrite(to, e, ruleRenameTo.learns(e.ToState), e.To, e.ToState, &e.ToInfo)
		if to.from == nil && exists(e.ToState) {
			f.died(&e.ToInfo)
		}
		if e.State == events.StateDir {
			f.carryForgotten(at, toAt)
		}
		rest := f.tree.move(from, to)
		from.edit().exchanged = exists(e.ToState)
		rest.edit().was = infoCopy(&e.Info)
		f.note(rest)
		f.renamed = append(f.renamed, renaming{a, from})
		f.hasher.own(e.To, &noInfo)
	}
	// A node is noted once, but may have been for something else at another place.
	f.changes = append(f.changes, from, to)
}

// carried notes that what is at n gets another name, and returns its origin, nil if
// it has none: what it holds will be found there.
func (f *fold) carried(n *node, e *events.Event, path string, s events.State, info *events.FileInfo) *origin {
	if o := f.touch(n, e, s, info); o != nil {
		f.learn(o, e, ruleRenameFrom.learns(s), path)
	}
	if n.status == made || n.from == nil {
		n.seen = true
		return nil
	}
	o := f.origin(n, s, info)
	o.away, o.retold = true, true
	return o
}

// infoCopy returns a copy of what is known of a file, nil if that is nothing.
func infoCopy(info *events.FileInfo) *events.FileInfo {
	if !info.Known() {
		return nil
	}
	c := *info
	return &c
}

// canRename reports whether a rename can succeed, as far as that is to be known.
func (f *fold) canRename(e *events.Event, from, to *node, swap bool) bool {
	switch {
	case ruleRenameFrom.on(e.State) != moves, toRule(e).on(e.ToState) == keeps:
		return false // ENOENT
	case hasFlag(e, "RENAME_NOREPLACE") && exists(e.ToState):
		return false // EEXIST
	case from.isAbove(to), to.isAbove(from):
		return false // EINVAL; ENOTEMPTY
	case swap || e.ToState == events.StateAbsent:
	case (e.State == events.StateDir) != (e.ToState == events.StateDir):
		return false // EISDIR, ENOTDIR
	case e.State == events.StateDir: // ENOTEMPTY, or it is empty: look whether it is still there
		if to, err := f.fs.lstat(e.To); err == nil && isSame(&to, &e.ToInfo) {
			return false
		}
		info, err := f.fs.lstat(e.Path)
		return isAbsent(err) || err == nil && e.Info.Known() && inodeOf(&info) != inodeOf(&e.Info)
	}
	return !f.crosses(e) && !f.lacksDir(e, to)
}

// lacksDir reports whether the directory that a rename puts something in is not there,
// and what it would have put there is where it was: ENOENT.
func (f *fold) lacksDir(e *events.Event, to *node) bool {
	for up := to.parent(); up != nil; up = up.parent() {
		if up.status == found && up.from != nil && up.attempt != tried && (up.from.state == events.StateAbsent || up.from.state == events.StateFile) {
			return true
		}
	}
	if _, err := f.fs.lstat(parentOf(e.To)); !isAbsent(err) || !e.Info.Known() {
		return false
	}
	info, err := f.fs.lstat(e.Path)
	return err == nil && inodeOf(&info) == inodeOf(&e.Info)
}

// crosses reports whether the two paths of a rename are on different file systems, where
// it fails with EXDEV and mv copies.
func (f *fold) crosses(e *events.Event) bool {
	info, err := f.fs.lstat(parentOf(e.To))
	if err != nil {
		return false
	}
	from := e.Info
	if !from.Known() {
		if from, err = f.fs.lstat(parentOf(e.Path)); err != nil {
			return false
		}
	}
	return from.Dev != info.Dev
}
