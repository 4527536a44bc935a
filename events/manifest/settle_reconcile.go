package manifest

import (
	"github.com/fstrace/fstrace/events"
)

// correct sees whether what an access found can be, after what was predicted of
// earlier calls; one of them has failed, otherwise. A process that looked at the
// same time as another made the change is taken for a failure as well: at the end
// it is seen what really is there.
//
// The event is nil at the end, when all calls are over.
func (f *fold) correct(n *node, e *events.Event, s events.State, info *events.FileInfo) {
	if !exists(s) {
		switch {
		case s != events.StateAbsent:
		case n.status == moved, n.status == made: // it could not be moved here, or made
			was := f.tree.home(n)
			f.undone(n, e)
			f.unmove(n)
			if was != nil && exists(was.state) { // it had been removed before
				f.tree.replace(n, gone, nil)
				n.edit().left = was
				return
			}
			f.tree.replace(n, found, was)
		}
		return
	}
	switch n.status {
	case gone:
		switch past := n.past(); {
		case past.left != nil:
			if isBack(past.left, info) {
				if w := past.went; w != nil {
					f.undone(w, e)
				}
				f.tree.comeBack(n, found, past.left)
				f.undone(n, e)
			}
		case past.was != nil && *info == *past.was:
			f.tree.comeBack(n, made, nil)
			n.seen = true
			f.undone(n, e)
		}
	case made, moved:
		if o := f.tree.home(n); o != nil && o != n.from && exists(o.state) && isBack(o, info) {
			f.tree.replace(n, found, o)
			f.undone(n, e)
		}
	case found:
		if n.from == nil {
			f.revive(n, e)
		}
	}
}

// undone notes that the last call that was to change what is at n has not done so. If it
// is over, it has failed, and n is as it was.
func (f *fold) undone(n *node, e *events.Event) {
	switch {
	case !f.isOver(n, e):
		n.attempt = tried
	case n.attempt == predicted:
		n.attempt = failed
	}
}

// isOver reports whether the last call that was to change what is at n is over as e is
// made: a thread makes one call after the other, and a process that has ended makes none.
func (f *fold) isOver(n *node, e *events.Event) bool {
	if e == nil || int(n.tid) == e.TID {
		return true
	}
	_, running := f.processes.now[int(n.pid)]
	return n.pid != 0 && !running
}

// begins notes that e is to change what is at n.
func (n *node) begins(e *events.Event) {
	n.pid, n.tid = int32(e.PID), int32(e.TID)
	if n.attempt == failed {
		n.attempt = predicted
	}
}

// unmove notes that what was to be moved to n was not, and should be where it was.
func (f *fold) unmove(n *node) {
	if n.status != moved || n.from == nil {
		return
	}
	if _, rest := f.tree.find(n.from.path()); rest.status == gone && rest.past().went == n {
		rest.edit().unmoved = n.path()
	}
}

// isUnmoved reports whether what was at a gone node was neither moved nor is it here.
func (x *outcome) isUnmoved(n *node) bool {
	c := n.past()
	if n.status != gone || c.unmoved == "" || c.left == nil || len(x.fold.mounted) > 0 {
		return false
	}
	info, err := x.fs.lstat(c.unmoved)
	return err != nil || !isSame(c.left.info, &info)
}

// revive undoes the predicted renaming of a directory: there is still something in
// it, under its old name.
func (f *fold) revive(n *node, e *events.Event) {
	for up := n.parent(); up != nil; up = up.parent() {
		if up.status == made {
			return
		}
		if up.status != gone {
			continue
		}
		left := up.past().left
		f.undone(up, e)
		if left == nil { // the session's own
			up.status = made
			return
		}
		up.status, up.from = found, left
		for x := n; x != up; x = x.parent() {
			x.from = f.paths.at(x.path()) // up is at the place that it had
		}
		return
	}
}

// isBack reports whether a file that should be gone is there all the same: info is of the
// file that o was. Another file may have got its inode number; the change time tells
// that, unless the session changed it.
func isBack(o *origin, info *events.FileInfo) bool {
	return isSame(o.info, info) && (o.retold || o.written || o.info.Ctime == info.Ctime)
}

// isSame reports whether two infos are of one file.
func isSame(a, b *events.FileInfo) bool { return a.Known() && b.Known() && inodeOf(a) == inodeOf(b) }
