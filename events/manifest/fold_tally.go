package manifest

import (
	"hash/maphash"

	"golang.org/x/sys/unix"
)

// A tally counts what the session has done to a name and the kernel has not reported yet.
type tally struct {
	writes, renames int32
	leavings        int32 // calls that remove what has the name, or rename it
	// kept: it was exchanged with another. Something still has the name after a leaving.
	kept     bool
	outsider outsider
	unsure   bool // files may be open that were opened where nobody watched
}

// An outsider is what another process did to an output.
type outsider uint8

const (
	outsiderWrote    outsider = 1 << iota // opened it for writing
	outsiderReplaced                      // renamed something over it
	outsiderRemoved                       // removed it, or gave it another name
	// dressed: its attributes were changed. Whether that was the session is known
	// elsewhere.
	dressed
)

// problem says it in the words of a reason, "" if there was nothing.
func (o outsider) problem() string {
	switch {
	case o&outsiderRemoved != 0:
		return "somebody else removed it after the command had made it"
	case o&outsiderReplaced != 0:
		return "somebody else replaced it after the command had made it"
	case o&outsiderWrote != 0:
		return "somebody else opened it for writing after the command had"
	case o&dressed != 0:
		return "somebody else changed its attributes after the command had made it"
	}
	return ""
}

// notice processes a notice of the kernel.
func (w *watcher) notice(n notice) {
	d := w.watches[n.watch]
	if t := w.files[n.watch]; t != nil {
		switch {
		case n.mask&unix.IN_IGNORED != 0:
			delete(w.files, n.watch)
		case n.mask&unix.IN_CLOSE_WRITE != 0:
			t.closed()
		}
		return
	}
	if d == nil {
		return
	}
	if n.mask&unix.IN_IGNORED != 0 { // the directory is no more
		if w.dirs[d.path] == d {
			delete(w.dirs, d.path)
		}
		delete(w.watches, n.watch)
		w.ended(d)
		return
	}
	counted := uint32(unix.IN_CLOSE_WRITE | unix.IN_MOVED_FROM | unix.IN_MOVED_TO | unix.IN_DELETE | unix.IN_ATTRIB)
	if n.mask&unix.IN_ISDIR != 0 {
		counted = unix.IN_MOVED_FROM | unix.IN_DELETE | unix.IN_ATTRIB
	}
	if n.mask&counted == 0 {
		return
	}
	name := maphash.Bytes(hashSeed, n.name)
	t := d.names[name]
	if t == nil {
		if n.mask&unix.IN_MOVED_FROM != 0 {
			w.cookie, w.from = n.cookie, tally{}
		}
		return // nothing of the session's
	}
	switch {
	case n.mask&unix.IN_CLOSE_WRITE != 0:
		t.closed()
	case n.mask&unix.IN_ATTRIB != 0:
		t.outsider |= dressed
	case n.mask&unix.IN_MOVED_TO != 0:
		w.movedTo(t, n.cookie)
	case n.mask&unix.IN_MOVED_FROM != 0:
		w.cookie, w.from = n.cookie, *t
		w.removed(d, name, t)
	case n.mask&unix.IN_DELETE != 0:
		w.removed(d, name, t)
	}
}

// closed notes that a file was closed that had been open for writing.
func (t *tally) closed() {
	if t.writes--; t.writes < 0 {
		t.writes, t.outsider = 0, t.outsider|outsiderWrote
	}
}

// movedTo notes that something was renamed to t's name. Files that are open go with it.
func (w *watcher) movedTo(t *tally, cookie uint32) {
	if t.renames == 0 {
		t.outsider |= outsiderReplaced
		return
	}
	t.renames--
	if cookie != w.cookie {
		t.outsider, t.unsure = 0, true
		return
	}
	t.writes = min(t.writes+w.from.writes, mostTallied)
	t.outsider, t.unsure = w.from.outsider, t.unsure || w.from.unsure
}

// removed notes that nothing has t's name any more.
func (w *watcher) removed(d *watched, name uint64, t *tally) {
	if t.leavings == 0 {
		t.outsider = outsiderRemoved
		return
	}
	t.leavings--
	t.outsider = 0
	if t.renames > 0 || t.leavings > 0 || t.kept {
		return
	}
	if t.writes > 0 || t.unsure { // a file that is still open: was it this one, or the next?
		if w.unsure == nil {
			w.unsure = make(nameFilter, unsureBytes)
		}
		w.unsure.add(name)
	}
	delete(d.names, name)
	w.uncount(name)
}

// ended notes that a watched directory was removed. What another process removed in it
// before is remembered.
func (w *watcher) ended(d *watched) {
	removed := false
	for name, t := range d.names {
		w.uncount(name)
		removed = removed || t.outsider&outsiderRemoved != 0
	}
	if removed && len(w.ends) < mostLeft {
		w.ends[d.path] = d
	}
}

// uncount notes that a name is no longer counted in one of the directories.
func (w *watcher) uncount(name uint64) {
	w.names--
	if w.counted[name]--; w.counted[name] == 0 {
		delete(w.counted, name)
	}
}
