package tracer

import (
	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/tracer/internal/procfs"
)

// A family is a process that a fstrace inside of the session has as its command, and all
// that it starts: the processes whose events that one gets. A family is in the families
// that its first process was born in.
type family struct {
	inner *inner
	up    *family // nil for none
}

// isIn reports whether a family is in that of an inner fstrace.
func (f *family) isIn(in *inner) bool {
	for ; f != nil; f = f.up {
		if f.inner == in {
			return true
		}
	}
	return false
}

// familyOf returns the family of a process that is not there yet, by its parent. It is
// not all if known is false: the parent may have taken it in.
func (r *receiver) familyOf(pid, ppid int) (f *family, known bool) {
	if !r.inners.serving() {
		return nil, true
	}
	const generations = 64 // that may have made no call yet
	for range generations {
		if p, _ := r.registry.find(ppid); p != nil && p.pid == ppid {
			return p.family.Load(), r.inners.isChild(p, pid)
		}
		st, err := procfs.ReadStatus(ppid)
		if err != nil || st.PPID <= 1 {
			break
		}
		pid, ppid = ppid, st.PPID
	}
	return nil, false
}

// isChild reports whether a process was made by its parent, or in the same families. Not so
// one that a subreaper has taken in, or the first process of a pid namespace, nor one that
// an inner fstrace's command has made as its own sibling: clone(2), CLONE_PARENT. As long
// as it has not called exec it shows who has made it.
func (n *inners) isChild(parent *process, pid int) bool {
	if !n.serving() {
		return true
	}
	doubtful := parent.adopts.Load()
	n.each(nil, func(in *inner) { doubtful = doubtful || in.root.ppid == parent.pid })
	if !doubtful {
		st, err := procfs.ReadStatus(parent.pid)
		doubtful = err != nil || st.InnerTID == 1
	}
	return !doubtful || procfs.SameImage(parent.pid, pid)
}

// bear notes the family of a new process.
func (p *process) bear(parent *process) {
	if parent != nil {
		p.family.Store(parent.family.Load())
	}
}

// orphaned notes that a process has begun of which it is not known who has made it, but
// that it is in a family; nil for none.
func (n *inners) orphaned(pid int, of *family) {
	if !n.serving() {
		return
	}
	n.each(nil, func(in *inner) {
		// An inner fstrace that is not below that family has not made it.
		if !of.isIn(in) && (of == nil || in.root.family.Load().isIn(of.inner)) {
			in.gap(events.ReasonUntraced, pid, "it is not known which process has started it")
		}
	})
}
