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
// not known if the parent is a process that takes in orphans.
func (r *receiver) familyOf(ppid int) (f *family, known bool) {
	if !r.inners.serving() {
		return nil, true
	}
	const generations = 64 // that may have made no call yet
	for range generations {
		if p, _ := r.registry.find(ppid); p != nil && p.pid == ppid {
			return p.family.Load(), true
		}
		st, err := procfs.ReadStatus(ppid)
		if err != nil || st.PPID <= 1 {
			break
		}
		ppid = st.PPID
	}
	return nil, false
}

// bear notes the family of a new process.
func (p *process) bear(parent *process) {
	if parent != nil {
		p.family.Store(parent.family.Load())
	}
}

// orphaned notes that a process has begun of which it is not known who has made it.
func (n *inners) orphaned(pid int) {
	if !n.serving() {
		return
	}
	n.each(nil, func(in *inner) {
		in.gap(events.ReasonUntraced, pid, "it is not known which process has started it")
	})
}
