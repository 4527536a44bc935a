package manifest

import (
	"hash/maphash"

	"golang.org/x/sys/unix"
)

// A tally is what the session has done to a name and the kernel has not told yet.
type tally struct {
	writes, renames int32
	outsider        outsider
	unsure          bool // files may be open that were opened where nobody watched
}

// An outsider is what somebody else did to an output.
type outsider uint8

const (
	outsiderWrote    outsider = 1 << iota // opened it for writing
	outsiderReplaced                      // renamed something over it
)

// problem says it in the words of a reason, "" if there was nothing.
func (o outsider) problem() string {
	switch {
	case o&outsiderReplaced != 0:
		return "somebody else replaced it after the command had made it"
	case o&outsiderWrote != 0:
		return "somebody else opened it for writing after the command had"
	}
	return ""
}

// notice takes in what the kernel tells.
func (w *watcher) notice(n notice) {
	d := w.watches[n.watch]
	if d == nil {
		return
	}
	if n.mask&unix.IN_IGNORED != 0 { // the directory is no more
		if w.dirs[d.path] == d {
			delete(w.dirs, d.path)
		}
		delete(w.watches, n.watch)
		w.names -= len(d.names)
		return
	}
	const counted = unix.IN_CLOSE_WRITE | unix.IN_MOVED_FROM | unix.IN_MOVED_TO | unix.IN_DELETE
	if n.mask&counted == 0 || n.mask&unix.IN_ISDIR != 0 {
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
		if t.writes--; t.writes < 0 {
			t.writes, t.outsider = 0, t.outsider|outsiderWrote
		}
	case n.mask&unix.IN_MOVED_TO != 0:
		w.movedTo(t, n.cookie)
	case n.mask&unix.IN_MOVED_FROM != 0:
		w.cookie, w.from = n.cookie, *t
		w.removed(d, name, t)
	case n.mask&unix.IN_DELETE != 0:
		w.removed(d, name, t)
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
	t.outsider = 0
	if t.writes == 0 && t.renames == 0 && !t.unsure {
		delete(d.names, name)
		w.names--
	}
}
