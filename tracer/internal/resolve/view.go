package resolve

import (
	"strconv"

	"github.com/fstrace/fstrace/tracer/internal/procfs"
)

// A View is how a thread sees the file system: where its absolute paths begin.
type View struct {
	// Root is the thread's root directory: "/", or where chroot(2) led, named as
	// fstrace sees it.
	Root string
	// anchor is where absolute paths begin: the zero anchor where the thread's mounts
	// are fstrace's own, else /proc/TID/root, through which the kernel looks with the
	// thread's mounts.
	anchor anchor
	// space is the thread's mount namespace, nil where that is fstrace's own.
	space *space
	// PID and tid are the thread's ids in fstrace's own pid namespace.
	PID, TID int
	// NoLinks: the call does not follow any symbolic link (RESOLVE_NO_SYMLINKS).
	NoLinks bool
}

// ViewOf finds out a caller's view: fstrace's own, until a process has made it
// possible that it is another.
func (r *Resolver) ViewOf(pid, tid int) (View, error) {
	v := View{Root: "/", PID: pid, TID: tid}
	if !r.RootsVary {
		return v, nil
	}
	root, err := r.procfs.Root(tid)
	if err != nil {
		return v, err
	}
	v.Root = root.Path
	ns, err := r.procfs.Namespace(tid, "mnt")
	if err != nil {
		return v, err
	}
	if ns == r.mountNS {
		return v, nil
	}
	if err := r.foreignView(tid, &v, ns); err != nil {
		return v, err
	}
	return v, nil
}

// Inside returns the view of a lookup that cannot leave a directory: RESOLVE_IN_ROOT.
func (v View) Inside(base *Base) View {
	v.Root = base.Path
	if base.anchor != nil {
		v.anchor = *base.anchor
	}
	return v
}

// IsApart reports whether mounts that the thread makes are none that fstrace sees.
func (v *View) IsApart() bool { return v.space != nil && !v.space.shared }

// self returns what /proc/self holds for the thread.
func (v *View) self() string {
	pid, _ := v.ids()
	return strconv.Itoa(pid)
}

// threadSelf returns what /proc/thread-self holds for the thread.
func (v *View) threadSelf() string {
	pid, tid := v.ids()
	return strconv.Itoa(pid) + "/task/" + strconv.Itoa(tid)
}

// ids returns the thread's ids as the /proc of its mounts numbers threads.
func (v *View) ids() (pid, tid int) {
	if v.space == nil {
		return v.PID, v.TID
	}
	st, err := procfs.ReadStatus(v.TID)
	if err != nil {
		return v.PID, v.TID // it is gone, and its call will not be recorded
	}
	return st.InnerPID, st.InnerTID
}
