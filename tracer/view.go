package tracer

import (
	"fmt"
	"strconv"

	"github.com/fstrace/fstrace/events"
)

// A view is how a thread sees the file system: where its absolute paths begin.
type view struct {
	// root is the thread's root directory: "/", or where chroot(2) led, named as
	// fstrace sees it.
	root string
	// prefix comes before each path that is looked up: "" where the thread's
	// mounts are fstrace's own, else /proc/TID/root, through which the kernel
	// looks with the thread's mounts.
	prefix string
	// pid and tid are the thread's ids as the /proc of its mounts numbers threads.
	pid, tid int
	// served are the mounts, of those that the prefix leads to, that must not be waited for;
	// nil for none.
	served *served
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
	root, err := o.procfs.root(c.tid)
	if err != nil {
		return v, err
	}
	v.root = root.path
	ns, err := o.procfs.namespace(c.tid, "mnt")
	if err != nil {
		return v, err
	}
	if ns == o.mountNS {
		return v, nil
	}
	// Names of another namespace are from its own root; they are looked up through
	// the thread's. A chroot within such a namespace is not told apart.
	v.root = "/"
	v.prefix = fmt.Sprintf("/proc/%d/root", c.tid)
	st, err := readStatus(c.tid)
	if err != nil {
		return v, errCallerGone
	}
	v.pid, v.tid = st.innerPID, st.innerTID
	o.gaps.add(events.ReasonMountNamespace, c.proc.pid, "its paths are those of another mount namespace")
	return v, nil
}

// self returns what /proc/self holds for the thread.
func (v *view) self() string { return strconv.Itoa(v.pid) }

// threadSelf returns what /proc/thread-self holds for the thread.
func (v *view) threadSelf() string { return v.self() + "/task/" + strconv.Itoa(v.tid) }
