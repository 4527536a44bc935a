package manifest

import (
	"slices"

	"github.com/fstrace/fstrace/events"
	"golang.org/x/sys/unix"
)

// What an access finds at a path follows from what was found there before and from what
// the session has done since. If it does not, somebody else had a hand in it. A call that
// failed explains much, a call at the same time as another the rest: then nothing is
// said.

// expect compares what an access finds at n with what was there before. It is called
// after correct has undone what calls were predicted to do and did not.
func (f *fold) expect(n *node, e *events.Event, s events.State, info *events.FileInfo) {
	if !e.Time.Before(f.latest) && !f.isDressed(n, e.TID, info) {
		n = f.note(n)
		f.suspect(n.path(), redressed)
	}
	switch {
	case n.attempt == tried, len(f.mounted) > 0, e.Time.Before(f.latest):
		return
	case n.status == gone:
		if was := n.past().taken(); exists(s) && info.Known() && was.Known() && !isSame(was, info) {
			f.deviates(n, e, "somebody else made it after the command had removed it, or renamed it")
		}
		return
	case n.status == made, n.from == nil:
		return
	}
	o := n.from
	if s == events.StateDir && n.status == found && f.isOtherDir(n, info) && (!o.away || f.isOver(n, e)) {
		f.deviates(n, e, "is another directory than when the command came to it before")
		return
	}
	switch {
	case o.state == events.StateNone, !isCertain(o.state), !isCertain(s):
	case o.state != s:
		if o.away && n.status == found && n.attempt != failed && !f.isFull(o) {
			return // rmdir, say
		}
		if s == events.StateAbsent && o.state == events.StateSymlink && isFollowed(e, n) { // ELOOP
			return
		}
		f.deviates(n, e, "was "+o.state.String()+", was "+s.String()+" when the command came to it again")
	case s == events.StateSymlink && f.leadsElsewhere(o, info):
		f.deviates(n, e, "led elsewhere when the command came to it again")
	case !o.info.Known() || o.late || !info.Known() || o.away && n.status == found && !isSame(o.info, info):
	case f.differs(n, e, info):
		f.deviates(n, e, "was changed before the command came to it again")
	}
}

// isOtherDir reports whether a directory that the session has not made is not the one
// that was at n before.
func (f *fold) isOtherDir(n *node, info *events.FileInfo) bool {
	o := n.from
	return o.state == events.StateDir && o.info.Known() && !o.late && info.Known() && !isSame(o.info, info) &&
		!isOn(f.note(n).path(), unix.OVERLAYFS_SUPER_MAGIC)
}

const redressed = "somebody else changed its attributes"

// vanished compares what an access finds at n with what the session made there and was
// seen. It is called before correct takes it that it could not be made.
func (f *fold) vanished(n *node, e *events.Event, s events.State, info *events.FileInfo) {
	if exists(s) && f.isRemade(n, info) && f.isOver(n, e) {
		f.deviates(n, e, "somebody else made it after the command had removed it, or renamed it")
		return
	}
	if s != events.StateAbsent || isFollowed(e, n) {
		return
	}
	switch {
	case n.status == made && n.seen && !n.removed && n.past().movedAt == 0:
		f.deviates(n, e, "somebody else removed it after the command had made it")
	case (n.status == made || n.status == moved) && n.past().exchanged:
		f.deviates(n, e, "somebody else removed it after the command had exchanged it")
	}
}

// taken is what is known of a file that was removed, or renamed.
func (c change) taken() *events.FileInfo {
	switch {
	case c.left != nil:
		return c.left.info
	case c.was != nil:
		return c.was
	}
	return &noInfo
}

// isCertain reports whether a state says what is there.
func isCertain(s events.State) bool {
	return s == events.StateFile || s == events.StateDir || s == events.StateSymlink || s == events.StateAbsent
}

// isFull reports whether a directory had something in it when the session was to remove
// it, and the session has removed nothing there: it cannot have removed the directory.
func (f *fold) isFull(o *origin) bool {
	if o.state != events.StateDir || f.forgotten.names[o] != nil {
		return false
	}
	removed := false
	for _, c := range o.more.below.list {
		if exists(c.state) && !c.away {
			return true
		}
		removed = removed || c.away
	}
	l := o.more.listing
	return !removed && l != nil && !l.unread && len(l.names) > 0
}

// isFollowed reports whether an access followed the symbolic link at n.
func isFollowed(e *events.Event, n *node) bool {
	if n.in == nil {
		return false
	}
	path := join(n.in.path(), n.name)
	return slices.ContainsFunc(e.Links, func(l events.Link) bool { return l.Path == path })
}

// leadsElsewhere reports whether the symbolic link that info is of holds something else
// than o did. It is known only of links that the session was about to rename or to
// remove.
func (f *fold) leadsElsewhere(o *origin, info *events.FileInfo) bool {
	if o.more.target == "" || !info.Known() {
		return false
	}
	target := f.hasher.target(info)
	return target != "" && target != o.more.target
}

// differs reports whether what is at n now is not what was found there, as far as the
// session has learned of it, and the session has not changed that.
func (f *fold) differs(n *node, e *events.Event, info *events.FileInfo) bool {
	o := n.from
	own, owned := f.retoldBefore(info), f.written[inodeOf(info)] != nil || o.written
	switch was := o.info; {
	case o.state == events.StateFile && isSame(was, info) && was.Nlink != info.Nlink && !own.relinked && !owned && !own.attributes && (ruleOf(e).file | o.facts).has(factLinks):
		return !isOn(n.path(), unix.OVERLAYFS_SUPER_MAGIC) // which gives one name another file
	case owned: // writing keeps mode and owner
		return !own.attributes && !o.dressed && isSame(was, info) && attributesOf(was) != attributesOf(info)
	case own.attributes || o.retold:
		if o.state == events.StateDir {
			_, stirred := f.stirred[o]
			return n.status == moved && !isSame(was, info) ||
				o.facts.has(factNames) && !stirred && !o.retimed && !own.times && was.Mtime != info.Mtime && !isOn(n.path(), unix.F2FS_SUPER_MAGIC)
		}
		// Another mode, or name, does not change what it holds.
		return !o.retimed && !own.times && (was.Size != info.Size || was.Mtime != info.Mtime)
	case o.state == events.StateDir && o.facts.has(factNames) && (was.Mtime != info.Mtime || was.Ctime != info.Ctime):
		_, stirred := f.stirred[o]
		return !stirred
	case permissions(was.Mode) != permissions(info.Mode):
		return true
	case o.facts.has(factOwner) && (was.UID != info.UID || was.GID != info.GID):
		return true
	case o.state != events.StateFile:
		return false
	case o.facts.has(factContent | factStat):
		// The inode number does not count: overlayfs gives a file another one when it is
		// first changed.
		return was.Size != info.Size || was.Mtime != info.Mtime
	}
	return false
}

// deviates notes that somebody else changed what is at n, if nothing else explains it.
func (f *fold) deviates(n *node, e *events.Event, detail string) {
	if n.attempt == tried || e.Time.Before(f.latest) || len(f.mounted) > 0 {
		return
	}
	for up := n.parent(); up != nil; up = up.parent() {
		if up.attempt == tried || up.status == found && up.from != nil && up.from.away {
			return
		}
	}
	n = f.note(n)
	n.attempt = tried // once is enough
	f.suspect(n.path(), detail)
}

// suspect notes that somebody else changed what is at a path, unless the record misses
// the access that did it.
func (f *fold) suspect(path, detail string) {
	f.suspected = append(f.suspected, events.Incomplete{Reason: events.ReasonChanged, Detail: path + ": " + detail})
}

// isLost reports whether the session put something at n for certain, and has not taken it
// away: nothing is there in the end.
func (x *outcome) isLost(n *node) bool {
	if n.attempt == tried || n.removed || len(x.fold.mounted) > 0 {
		return false
	}
	if n.status == found {
		return n.from != nil && n.from.away && x.fold.isFull(n.from)
	}
	home := x.fold.tree.home(n)
	replaced := home != nil && exists(home.state) // or that would be there, if the call had failed
	switch n.status {
	case made:
		return n.seen || replaced
	case moved:
		if replaced {
			return true
		}
		info, err := x.fs.lstat(n.from.path())
		return err != nil || !isSame(n.from.info, &info) // it could not be renamed
	}
	return false
}

// isExchanged reports whether at n, in the end, is not what the session left there for
// certain, and nothing that it made.
func (x *outcome) isExchanged(n *node, s events.State, info *events.FileInfo) bool {
	o := n.from
	switch {
	case n.attempt == tried, len(x.fold.mounted) > 0, o == nil, n.status != found && n.status != moved, !isCertain(o.state), o.state == events.StateAbsent && n.attempt != failed:
		return false
	case o.state != s:
		return true
	case !o.info.Known() || o.late:
		return false
	}
	own := x.fold.retold[inodeOf(info)].attributes || x.fold.written[inodeOf(info)] != nil || o.written
	switch info.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return !isSame(o.info, info) && (n.status == moved || !isOn(n.path(), unix.OVERLAYFS_SUPER_MAGIC))
	}
	return !own && (o.info.Size != info.Size || o.info.Mtime != info.Mtime)
}

// isRemade reports whether what is found at n is what the session was to remove or to
// rename, and yet was changed since: the call has failed then, and the session did
// nothing else to it.
func (f *fold) isRemade(n *node, info *events.FileInfo) bool {
	o := n.from
	switch {
	case n.status == gone:
		o = n.past().left
	case n.status != found, o == nil, !o.away:
		return false
	}
	was := n.past().was
	if o == nil || n.attempt == tried || len(f.mounted) > 0 || o.late || !isSame(o.info, info) {
		return false
	}
	own := f.retoldBefore(info)
	if own.attributes || own.times || o.dressed || o.written || f.written[inodeOf(info)] != nil {
		return false
	}
	if info.Mode&unix.S_IFMT == unix.S_IFDIR {
		if n.status == found {
			was = o.info
		}
		_, stirred := f.stirred[o]
		return !stirred && was != nil && info.Ctime != was.Ctime
	}
	return n.status == gone && own.names == 1 && was != nil && info.Ctime != was.Ctime
}

// isRelinked reports whether somebody else changed how many names a file has, if that
// counts.
func (x *outcome) isRelinked(n *node, o *origin, info *events.FileInfo) bool {
	own := x.fold.retold[inodeOf(info)]
	if o.state != events.StateFile || o.info.Nlink == info.Nlink || o.late {
		return false
	}
	// What the session was to remove is still there: it did nothing to the number.
	return !own.relinked && o.facts.has(factLinks) || own.names == 1 && n.status == gone
}

// isRedressed reports whether somebody else changed the attributes of what is at path.
func (x *outcome) isRedressed(path string, o *origin, info *events.FileInfo) bool {
	if attributesOf(o.info) == attributesOf(info) && (o.written || !isReowned(o.info, info)) {
		return false
	}
	if o.late || o.dressed || x.fold.retold[inodeOf(info)].attributes || len(x.fold.mounted) > 0 {
		return false
	}
	at := x.fold.paths.find(path)
	return at == nil || !at.accessed.has(events.OpChattr)
}

// isOn reports whether path is on a file system of a type. Overlayfs gives a file another
// inode number when it is first changed; F2FS gives a directory another time when it is
// moved to another one.
func isOn(path string, magic int64) bool {
	var fs unix.Statfs_t
	err := ignoringEINTR(func() error { return unix.Statfs(path, &fs) })
	return err == nil && int64(fs.Type) == magic
}
