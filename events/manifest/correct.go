package manifest

import (
	"github.com/fstrace/fstrace/events"
)

// correct sees whether what an access found can be, after what was foretold of
// earlier calls; one of them has failed, otherwise. A process that looked at the
// same time as another made the change is taken for a failure as well: at the end
// it is seen what really is there.
func (f *fold) correct(n *node, s events.State, info *events.FileInfo) {
	if !exists(s) {
		switch {
		case s != events.StateAbsent:
		case n.status == moved, n.status == made: // it could not be moved here, or made
			was := n.home()
			if o := f.origins[was]; o != nil && exists(o.state) { // it had been removed before
				n.replace(gone, "")
				n.left = was
				return
			}
			n.replace(found, was)
		}
		return
	}
	switch n.status {
	case gone:
		if o := f.origins[n.left]; n.left != "" && o != nil && isSame(&o.info, info) {
			n.comeBack(found, n.left)
		} else if n.left == "" && n.was != nil && *info == *n.was {
			n.comeBack(made, "")
			n.seen = true
		}
	case made, moved:
		path := n.home()
		if o := f.origins[path]; o != nil && o.path != n.from && exists(o.state) && isSame(&o.info, info) {
			n.replace(found, path)
		}
	case found:
		if n.from == "" {
			f.revive(n)
		}
	}
}

// revive undoes the foretold renaming of a directory: there is still something in
// it, under its old name.
func (f *fold) revive(n *node) {
	for up := n.parent; up != nil; up = up.parent {
		if up.status == made {
			return
		}
		if up.status == gone && up.left == "" { // the session's own
			up.status = made
			return
		}
		if up.status == gone {
			up.status, up.from = found, up.left
			below := n
			for below.parent != up {
				below = below.parent
			}
			for x := n; x != up; x = x.parent {
				x.from = x.path() // up is at the place that it had
			}
			return
		}
	}
}

// isSame tells whether two infos are of one file.
func isSame(a, b *events.FileInfo) bool { return a.Known() && b.Known() && inodeOf(a) == inodeOf(b) }
