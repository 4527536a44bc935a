package tracer

import (
	"strconv"

	"github.com/fstrace/fstrace/tracer/internal/procfs"
)

// A view is how a thread sees the file system: where its absolute paths begin.
type view struct {
	// root is the thread's root directory: "/", or where chroot(2) led, named as
	// fstrace sees it.
	root string
	// anchor is where absolute paths begin: the zero anchor where the thread's mounts
	// are fstrace's own, else /proc/TID/root, through which the kernel looks with the
	// thread's mounts.
	anchor anchor
	// space is the thread's mount namespace, nil where that is fstrace's own.
	space *space
	// pid and tid are the thread's ids in fstrace's own pid namespace.
	pid, tid int
	// noLinks: the call does not follow any symbolic link (RESOLVE_NO_SYMLINKS).
	noLinks bool
}

// viewOf finds out a caller's view: fstrace's own, until somebody has made it
// possible that it is another.
func (o *observer) viewOf(c *call) (view, error) {
	v := view{root: "/", pid: c.proc.pid, tid: c.tid}
	if !o.rootsVary {
		return v, nil
	}
	root, err := o.procfs.Root(c.tid)
	if err != nil {
		return v, err
	}
	v.root = root.Path
	ns, err := o.procfs.Namespace(c.tid, "mnt")
	if err != nil {
		return v, err
	}
	if ns == o.mountNS {
		return v, nil
	}
	if err := o.foreignView(c, &v, ns); err != nil {
		return v, err
	}
	return v, nil
}

// self returns what /proc/self holds for the thread.
func (v *view) self() string {
	pid, _ := v.ids()
	return strconv.Itoa(pid)
}

// threadSelf returns what /proc/thread-self holds for the thread.
func (v *view) threadSelf() string {
	pid, tid := v.ids()
	return strconv.Itoa(pid) + "/task/" + strconv.Itoa(tid)
}

// ids returns the thread's ids as the /proc of its mounts numbers threads.
func (v *view) ids() (pid, tid int) {
	if v.space == nil {
		return v.pid, v.tid
	}
	st, err := procfs.ReadStatus(v.tid)
	if err != nil {
		return v.pid, v.tid // it is gone, and its call will not be recorded
	}
	return st.InnerPID, st.InnerTID
}
