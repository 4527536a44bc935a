package manifest

import (
	"encoding/hex"
	"slices"

	"github.com/fstrace/fstrace/events"
)

// inputs finds out what entries of the inputs need beyond what is known of them, and sees
// whether anybody but the session has changed one meanwhile.
func (x *outcome) inputs(list []*origin) {
	problems := make([]*problem, len(list))
	inChunks(len(list), func(from, to int) {
		var paths pathMaker
		for i := from; i < to; i++ {
			if o := list[i]; o.isInput() && o.state != events.StateOther {
				problems[i] = x.settle(o, paths.path(o))
			}
		}
	})
	for i, p := range problems {
		if p != nil {
			x.gap(list[i].path(), p)
		}
	}
}

// isTold reports whether an entry is made of o: not of a link that could not be read.
func (o *origin) isTold() bool {
	return o.isInput() && o.state != events.StateOther && (o.state != events.StateSymlink || o.more.target != "")
}

// entry makes an entry of o, which has been settled. There may be a million of them: they
// are made one after the other, to be encoded in p, and good until the next is made.
func (o *origin) entry(p *piece) Entry {
	e := newEntry(p.paths.passing(o), o.state)
	e.Ops = p.opList(o.ops)
	if o.more.sum != nil {
		p.digits = hex.AppendEncode(p.digits[:0], o.more.sum[:])
		e.SHA256, e.Size = textOf(p.digits), o.info.Size
	}
	if e.Error = o.unfound.String(); o.state == events.StateSymlink {
		e.Target = o.more.target
	}
	if l := o.more.listing; l != nil && l.hash != "" {
		e.Names, e.Entries = l.names, l.hash
	}
	e.NotEmpty = o.more.listing != nil && o.more.listing.notEmpty
	e.tell(o.facts, o.info)
	if e.State == events.StateDir && o.stirred { // the session's own doing
		e.Told = untold
	}
	return e
}

// tell fills in what info says of the facts that matter.
func (e *Entry) tell(what facts, info *events.FileInfo) {
	if e.State != events.StateFile && e.State != events.StateDir && e.State != events.StateSymlink || !info.Known() {
		return
	}
	if e.State != events.StateSymlink {
		e.Mode = permissions(info.Mode)
	}
	if what.has(factOwner) {
		e.UID, e.GID = int64(info.UID), int64(info.GID)
	}
	if what.has(factLinks) && e.State == events.StateFile {
		e.Links = int64(info.Nlink)
	}
	switch {
	case !what.has(factStat):
	case e.State == events.StateFile && e.SHA256 == "":
		e.Size, e.Mtime = info.Size, info.Mtime
	default:
		e.Told.Mtime = info.Mtime
	}
	if what.has(factStat) && e.Links == unset {
		e.Told.Links = int64(info.Nlink)
	}
}

// A problem is why it cannot be told in which state the command found an input.
type problem struct {
	reason events.Reason
	detail string
}

func changed(detail string) *problem { return &problem{events.ReasonChanged, detail} }

// settle finds out what was in o, which is at path. It is called for several at once.
func (x *outcome) settle(o *origin, path string) *problem {
	if (o.state == events.StateFile || o.state == events.StateDir) && !o.info.Known() {
		return changed("could not be looked at in time")
	}
	if o.state == events.StateAbsent {
		o.unfound = o.lookupError()
	}
	o.stirred = o.names && o.info.Mtime >= x.begin.Add(-granularity).UnixNano()
	switch {
	case o.more.doubt != "":
		return changed(o.more.doubt)
	case o.state == events.StateSymlink && o.more.target == "":
		return changed("could not be read in time")
	case o.state == events.StateFile && o.hashing:
		sum, p := x.sumOf(o)
		if p != nil {
			return p
		}
		if sum != nil {
			o.edit().sum = sum
		}
	}
	if l := o.more.listing; l != nil {
		l.late = l.late || l.lateBy && !o.retold
		if l.late && o.away && o.wentTo() == "" {
			// The session has removed it, so it held nothing more. What was read is of
			// the directory in its place: file systems use inode numbers again at once.
			l.names, l.readHash, l.late = nil, "", false
		}
		if l.unread {
			if p := x.listLate(o); p != nil {
				return p
			}
		}
		if l.readHash != "" && x.isAsBefore(o, path, l.names) { // in most directories
			l.hash = l.readHash
		} else {
			l.names = x.names(o, path, l.names)
			l.hash = hashNames(l.names)
		}
		if !o.facts.has(factNames) && x.isKept(o, l.names) {
			l.names, l.hash, l.notEmpty = nil, "", true
		}
		changedHere := func(child *origin) bool { return child.away && child.state != events.StateNone }
		if l.late && (l.alone || x.fold.forgotten.names[o] == nil && !slices.ContainsFunc(o.more.below.list, changedHere)) {
			return changed("its entries changed as it was listed")
		}
	}
	if o.written || o.away || x.outputs[path] != nil || x.underRemoved(path) {
		return nil
	}
	if o.retold { // with another mode, owner or time it is still there
		info, err := x.fs.lstat(path)
		if stateOf(&info, err) == events.StateAbsent && exists(o.state) {
			return changed("was " + o.state.String() + ", is absent now")
		}
		if err == nil && isSame(o.info, &info) && x.isRedressed(path, o, &info) {
			return changed(redressed)
		}
		return nil
	}
	if detail := x.verify(o, path); detail != "" {
		return changed(detail)
	}
	return nil
}

// isKept reports whether a directory had something in it, and the session removed nothing
// there and made nothing: then that it could not be removed says no more than that.
func (x *outcome) isKept(o *origin, names []string) bool {
	return len(names) > 0 && !slices.ContainsFunc(o.more.below.list, func(c *origin) bool { return c.away })
}

// listLate reads the names in a directory that has another name by now. One that was
// removed held nothing more then.
func (x *outcome) listLate(o *origin) *problem {
	list, err := x.fs.readDir(o.wentTo())
	if isAbsent(err) || err == nil && o.info.Known() && !isSame(o.info, &list.info) {
		if !o.away {
			return changed("was removed or replaced before its entries could be read")
		}
		return nil
	}
	if err != nil {
		return changed("its entries could not be read in time: " + err.Error())
	}
	l := o.more.listing
	l.names, l.readHash, l.info = list.names, "", list.info
	return nil
}

// verify looks whether an input that the session did not change is what it was.
func (x *outcome) verify(o *origin, path string) (problem string) {
	info, err := x.fs.lstat(path)
	if isForbidden(err) && x.isUnderRetold(o) {
		return "" // the session itself has made it so
	}
	if s := stateOf(&info, err); s != o.state {
		return "was " + o.state.String() + ", is " + s.String() + " now"
	}
	switch o.state {
	case events.StateFile:
		return x.verifyFile(o, path, &info)
	case events.StateSymlink:
		if target, err := x.fs.readlink(path); err != nil || target != o.more.target {
			return "leads elsewhere now"
		}
	case events.StateDir:
		if permissions(info.Mode) != permissions(o.info.Mode) {
			return "its mode changed"
		}
		if l := o.more.listing; l != nil && !l.notEmpty && (!l.info.Known() || info.Mtime != l.info.Mtime || info.Ctime != l.info.Ctime || isRacy(&l.info, x.fold.now())) {
			list, err := x.fs.readDir(path)
			if err != nil || !slices.Equal(x.names(o, path, list.names), l.names) {
				return "its entries changed"
			}
		}
	}
	return ""
}

func (x *outcome) verifyFile(o *origin, path string, info *events.FileInfo) (problem string) {
	switch {
	case permissions(info.Mode) != permissions(o.info.Mode):
		return "its mode changed"
	case o.facts.has(factOwner) && (info.UID != o.info.UID || info.GID != o.info.GID):
		return "its owner changed"
	case !o.facts.has(factContent | factStat):
		return ""
	case contentOf(info) != contentOf(o.info):
		return "changed"
	case !o.hashing:
		return ""
	}
	if j := x.hasher.result(o.info); j != nil && !j.racy && *info == *o.info {
		return ""
	}
	// Its times do not say for certain that it is the same: is what it holds?
	sum, _, err := hashFile(x.fs, path, make([]byte, bufferSize))
	if err != nil || o.more.sum == nil || sum != *o.more.sum {
		return "changed"
	}
	return ""
}

// isUnderRetold reports whether the session changed the attributes of a directory above
// o.
func (x *outcome) isUnderRetold(o *origin) bool {
	for up := o.parent; up != nil; up = up.parent {
		if up.retold {
			return true
		}
	}
	return false
}

// underRemoved reports whether a directory above path was removed or renamed.
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
