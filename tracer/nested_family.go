package tracer

import (
	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/tracer/internal/procfs"
	"golang.org/x/sys/unix"
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
	if f, ok := r.inners.byImage(pid); ok {
		return f, true
	}
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

// maxImages bounds the memory of images.
const maxImages = 1 << 16

// noteImage notes whose the image is that a process has now. What has it was
// made by that process, or by others of its families.
func (n *inners) noteImage(p *process) {
	if !n.serving() {
		return
	}
	id, ok := procfs.Image(p.pid)
	if !ok {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.images == nil || len(n.images) >= maxImages {
		n.images = make(map[uint64]*family)
	}
	n.images[id] = p.family.Load()
	n.known.Store(true)
}

// forgetImages lets go of inner fstraces that are served no more, unless what they have
// left is to be killed: a process with an image of theirs belongs to those above them.
func (n *inners) forgetImages() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for id, f := range n.images {
		for f != nil && f.inner.over.Load() && unix.Signal(f.inner.told.Load()) != unix.SIGKILL {
			f = f.up
		}
		n.images[id] = f
	}
}

// byImage returns the family of a process, if its image tells. It does so also of one
// that was orphaned, as long as that has not called exec.
func (n *inners) byImage(pid int) (f *family, ok bool) {
	if n == nil || !n.known.Load() {
		return nil, false
	}
	id, ok := procfs.Image(pid)
	if !ok {
		return nil, false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	f, ok = n.images[id]
	return f, ok
}

// isChild reports whether a process was made by its parent, or in the same families. Not
// so one that a subreaper has taken in, or the first process of a pid namespace, nor one
// that an inner fstrace's command has made as its own sibling: clone(2), CLONE_PARENT. As
// long as it has not called exec it shows who has made it.
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
	if !doubtful {
		return true
	}
	own, ok := procfs.Image(parent.pid)
	its, known := procfs.Image(pid)
	return ok && known && own == its
}

// bear notes the family of a new process.
func (p *process) bear(parent *process) {
	if parent != nil {
		p.family.Store(parent.family.Load())
	}
}

// isBelow reports whether an inner fstrace belongs to a family: else what that has made
// is not its own. All belong to nil.
func (in *inner) isBelow(f *family) bool { return f == nil || in.root.family.Load().isIn(f.inner) }

// adopted notes the family of a process that is followed and may have another parent than
// the process that has made it.
func (n *inners) adopted(p, parent *process) {
	if f, ok := n.byImage(p.pid); ok {
		p.family.Store(f)
	} else if parent == nil {
		n.orphaned(p.pid, nil)
	} else if !n.isChild(parent, p.pid) {
		n.orphaned(p.pid, parent.family.Load())
	}
}

// orphaned notes that a process has begun of which it is not known who has made it, but
// that it is in a family; nil for none.
func (n *inners) orphaned(pid int, of *family) {
	if !n.serving() {
		return
	}
	n.each(nil, func(in *inner) {
		if !of.isIn(in) && in.isBelow(of) {
			in.gap(events.ReasonUntraced, pid, "it is not known which process has started it")
		}
	})
}
