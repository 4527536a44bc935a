package tracer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/seccomp"
	"github.com/fstrace/fstrace/tracer/internal/procfs"
	"github.com/fstrace/fstrace/tracer/internal/sys"
	"github.com/fstrace/fstrace/tracer/internal/syscalls"
	"golang.org/x/sys/unix"
)

// A call is one system call about to run, by whatever means it was learnt of:
// its thread is held still until the observer has looked.
type call struct {
	tid      int
	proc     *process
	followed bool // by ptrace, which tells of its birth and end
	row      *syscalls.Row
	abi      *seccomp.ABI
	args     [6]uint64
}

// An observer turns calls into accesses: it reads what their arguments point to,
// and finds out what the paths lead to at that moment. It is for one goroutine.
type observer struct {
	*common
	memory   procfs.Memory
	procfs   procfs.Reader
	resolver resolver
	view     view // of the caller
}

// A common is what the observers of a session share. It belongs to who holds the
// receiver's lock.
type common struct {
	beliefs  beliefs
	programs programs
	registry *registry
	gaps     *gaps
	moves    uint // how often directories were removed, renamed or mounted upon
	served   served
	expiring map[expiry]resolved
	spaces   spaces

	mountNS uint64 // fstrace's own mount namespace
	// rootsVary: a call was seen after which a thread may have a root directory or
	// mounts other than fstrace's. From then on each thread's are looked up.
	rootsVary bool
	mounting  bool // a call was seen that makes mounts
}

func newCommon(registry *registry, gaps *gaps) (*common, error) {
	var p procfs.Reader
	ns, err := p.Namespace(unix.Getpid(), "mnt")
	if err != nil {
		return nil, fmt.Errorf("look up own mount namespace: %w", err)
	}
	return &common{registry: registry, gaps: gaps, mountNS: ns, served: served{file: -1}}, nil
}

// newObserver returns an observer for a hand.
func newObserver(c *common, h *hand) *observer {
	o := &observer{common: c}
	o.memory.Marker, o.resolver.hand, o.procfs.Looker = h, h, &o.resolver
	o.resolver.beliefs, o.procfs.Names = &c.beliefs, &c.beliefs.linked
	o.resolver.jump = o.jump
	return o
}

// close lets go of what the observer has open. It can be used again.
func (o *observer) close() { o.procfs.Dirs.Close() }

// observe fills a with what c accesses. It tells whether there is anything: calls
// that fail before they look at a file, and descriptors that name none, are no
// accesses.
func (o *observer) observe(c *call, a *access) bool {
	o.resolver.now = time.Now()
	o.resolver.busy = false
	o.resolver.unmounts = c.row.Has(syscalls.Unmounts)
	if len(o.spaces.changing) > 0 {
		o.spaces.calling(c.tid, o.registry)
	}
	if o.mounting {
		if o.served.refresh() {
			o.spaces.changes++
		}
		o.resolver.served = &o.served
	}
	*a = access{time: o.resolver.now, tid: c.tid, pid: c.proc.pid, row: c.row, abi: c.abi, op: c.row.Op}
	var err error
	o.view, err = o.viewOf(c)
	if err == nil {
		if c.row.Flags != syscalls.None && c.row.FlagType != syscalls.FlagsNone {
			a.flags, a.hasFlags = c.arg(c.row.Flags), true
		}
		err = o.read(c, &o.view, a)
		o.noteLost(c, a)
	}
	switch {
	case err == nil:
		if a.first.blocked || a.second.blocked {
			a.op = events.OpStat
		}
		o.foresee(c, a)
		return true
	case errors.Is(err, procfs.ErrBadAddress), errors.Is(err, procfs.ErrTooLong), errors.Is(err, procfs.ErrNoFile), errors.Is(err, procfs.ErrCallerGone):
		return false
	case errors.Is(err, procfs.ErrUnanswered):
		a.setOpaque()
		return true
	case errors.Is(err, procfs.ErrOpaque):
		a.setOpaque()
		o.gaps.add(events.ReasonOpaqueProcess, c.proc.pid, "its memory and directories may not be read: "+c.row.Name)
		return true
	}
	a.setOpaque()
	o.gaps.add(events.ReasonUnresolvedPath, c.proc.pid, c.row.Name+": "+err.Error())
	return true
}

// arg returns an argument by its number in the table.
func (c *call) arg(n int8) uint64 { return c.row.Argument(&c.args, n, c.abi) }

// sleeps reports whether the call may sleep in the kernel until a signal interrupts it.
// Opening a file or directory does not; opening a FIFO, or a device, does.
func (c *call) sleeps(a *access, observed bool) bool {
	if c.row.How == syscalls.ByOpen || c.row.How == syscalls.ByOpenHow {
		return observed && (a.first.state == events.StateOther || a.first.state == events.StateUnknown)
	}
	return c.row.Has(syscalls.MaySleep)
}

// read does what the row's method says.
func (o *observer) read(c *call, v *view, a *access) error {
	switch c.row.How {
	case syscalls.ByOpen:
		return o.open(c, v, a)
	case syscalls.ByOpenHow:
		return o.openHow(c, v, a)
	case syscalls.ByExec:
		return o.exec(c, v, a)
	case syscalls.BySymlink:
		target, err := o.memory.CString(c.tid, c.args[0])
		if err != nil {
			return err
		}
		a.target = string(target)
	case syscalls.BySockaddr:
		at := c.row.First.Path
		return o.sockaddr(c, v, a, c.args[at], c.args[at+1])
	case syscalls.ByMessages:
		return o.messages(c, v, a, c.args[1], c.args[2])
	case syscalls.BySocketcall:
		return o.socketcall(c, v, a)
	case syscalls.ByHandle:
		return o.handle(c, a)
	case syscalls.ByMount:
		return o.mount(c, v, a)
	case syscalls.ByUmount:
		return o.umount(c, v, a)
	case syscalls.ByFsconfig:
		return o.fsconfig(c, v, a)
	case syscalls.ByBPF:
		return o.bpf(c, v, a)
	case syscalls.ByPerfEvent:
		return o.perfEvent(c, v, a)
	case syscalls.ByQuota:
		return o.quota(c, v, a)
	case syscalls.ByQueue:
		return o.messageQueue(c, a)
	case syscalls.ByNamespace:
		o.rootsVary = true
		o.spaces.joined = o.spaces.joined || c.row.Has(syscalls.JoinsNamespace)
		return procfs.ErrNoFile
	case syscalls.ByRefs, syscalls.ByDenial, syscalls.ByPtrace, syscalls.BySeccomp, syscalls.ByPrctl:
	}
	return o.readRefs(c, v, a)
}

// readRefs reads the paths that the row names.
func (o *observer) readRefs(c *call, v *view, a *access) (err error) {
	if a.first, err = o.lookup(c, v, c.row.First, a.flags, false); err != nil {
		return err
	}
	if c.row.Second.Set {
		a.second, err = o.lookup(c, v, c.row.Second, a.flags, true)
	}
	return err
}

// lookup reads one path and resolves it.
func (o *observer) lookup(c *call, v *view, f syscalls.Ref, flags uint64, second bool) (resolved, error) {
	if f.Path == syscalls.None {
		return o.descriptor(c, f)
	}
	addr := c.arg(f.Path)
	if addr == 0 {
		if f.Dir != syscalls.None && c.row.NullIsDirectory(flags, second, int32(c.arg(f.Dir))) {
			return o.descriptor(c, f)
		}
		return resolved{}, procfs.ErrBadAddress
	}
	name, err := o.memory.CString(c.tid, addr)
	if err != nil {
		return resolved{}, err
	}
	if len(name) == 0 {
		if c.row.EmptyIsDirectory(flags, second) {
			return o.descriptor(c, f)
		}
		return resolved{}, procfs.ErrNoFile // ENOENT
	}
	mode := lookupMode(0)
	if c.row.Follows(flags, second) {
		mode |= modeFollow
	}
	if c.row.TakesEntry() {
		mode |= modeEntry
	}
	return o.resolve(c, v, f, name, mode)
}

// resolve resolves a path that is not empty.
func (o *observer) resolve(c *call, v *view, f syscalls.Ref, name []byte, mode lookupMode) (resolved, error) {
	var base baseDir
	if name[0] != '/' {
		var err error
		if base, err = o.base(c, f); err != nil {
			return resolved{}, err
		}
	}
	if mode&modeEntry != 0 || base.Gone || v.root != "/" || v.anchor.name != "" || base.anchor != nil || v.noLinks {
		return o.resolver.resolve(v, base, name, mode), nil
	}
	if r, ok := o.resolver.lately.find(base.Path, name, o.resolver.now); ok {
		return r, nil
	}
	r := o.resolver.resolve(v, base, name, mode)
	o.resolver.lately.keep(&r, &o.resolver.dirs, o.resolver.now)
	return r, nil
}

// base returns the directory that a ref's relative paths begin at.
func (o *observer) base(c *call, f syscalls.Ref) (p baseDir, err error) {
	dir := unix.AT_FDCWD
	if f.Dir != syscalls.None {
		dir = int(int32(c.arg(f.Dir)))
	}
	if dir == unix.AT_FDCWD {
		p.Place, err = o.cwd(c)
	} else {
		p.Place, err = o.procfs.Descriptor(c.tid, dir)
	}
	if err == nil && o.spaces.foreign {
		name := o.procfs.EntryName(c.tid, "cwd")
		if dir != unix.AT_FDCWD {
			name = o.procfs.DescriptorName(c.tid, dir)
		}
		p.anchor = o.anchorOf(string(sys.TrimNUL(name)), p.Path, &o.view)
	}
	return p, err
}

// descriptor returns what a descriptor, or AT_FDCWD, stands for.
func (o *observer) descriptor(c *call, f syscalls.Ref) (resolved, error) {
	p, err := o.base(c, f)
	if err != nil {
		return resolved{}, err
	}
	r := resolved{set: true, path: p.Path, lost: p.Lost}
	if p.anchor != nil {
		r.path, r.lost = p.anchor.space.hostPath(p.Path)
	}
	if known, ok := o.resolver.lately.at(p.Place, o.resolver.now); ok && !o.rootsVary {
		r.path, r.state, r.info = known.path, known.state, known.info
		return r, nil
	}
	fd := unix.AT_FDCWD
	if f.Dir != syscalls.None {
		fd = int(int32(c.arg(f.Dir)))
	}
	mode, err := o.procfs.Mode(c.tid, fd, p.Path)
	if errors.Is(err, procfs.ErrUnanswered) {
		r.state = events.StateUnknown
		return r, nil
	}
	if err != nil {
		return resolved{}, err
	}
	if p.Gone && procfs.IsMemfd([]byte(p.Path)) {
		return resolved{}, procfs.ErrNoFile
	}
	r.state, r.info = stateOf(mode), infoOf(&o.procfs.Stat)
	return r, nil
}

// open reads open, openat and creat.
func (o *observer) open(c *call, v *view, a *access) error {
	if c.row.Flags == syscalls.None { // creat
		a.flags, a.hasFlags = unix.O_CREAT|unix.O_WRONLY|unix.O_TRUNC, false
	}
	a.flags &= 0xffffffff
	return o.openPath(c, v, a, 0)
}

// openHow reads openat2, whose flags are in a struct open_how.
func (o *observer) openHow(c *call, v *view, a *access) error {
	const flagsAndMode, withResolve = 16, 24
	size := min(c.args[3], withResolve)
	if size < withResolve { // OPEN_HOW_SIZE_VER0: the kernel says EINVAL
		return procfs.ErrNoFile
	}
	how, err := o.memory.Bytes(c.tid, c.args[2], int(size))
	if err != nil {
		return err
	}
	a.flags = binary.NativeEndian.Uint64(how)
	return o.openPath(c, v, a, binary.NativeEndian.Uint64(how[flagsAndMode:]))
}

// openPath resolves the path of an open, and decides what the open means.
func (o *observer) openPath(c *call, v *view, a *access, resolve uint64) error {
	name, err := o.memory.CString(c.tid, c.arg(c.row.First.Path))
	if err != nil {
		return err
	}
	if len(name) == 0 {
		return procfs.ErrNoFile
	}
	inside := *v
	if resolve&unix.RESOLVE_IN_ROOT != 0 {
		base, err := o.base(c, c.row.First)
		if err != nil {
			return err
		}
		inside.root = base.Path
		if base.anchor != nil {
			inside.anchor = *base.anchor
		}
		a.first = o.resolver.resolve(&inside, base, name, openMode(a.flags))
	} else {
		inside.noLinks = resolve&unix.RESOLVE_NO_SYMLINKS != 0
		if a.first, err = o.resolve(c, &inside, c.row.First, name, openMode(a.flags)); err != nil {
			return err
		}
	}
	a.op = syscalls.OpenOp(a.flags, a.first.state)
	return nil
}

// openMode says how open looks up the last component.
func openMode(flags uint64) lookupMode {
	if syscalls.OpenFollows(flags) {
		return modeFollow
	}
	return 0
}

// foresee prepares for what a call is about to change in what paths mean.
func (o *observer) foresee(c *call, a *access) {
	switch a.op {
	case events.OpWrite, events.OpCreate, events.OpDelete, events.OpRename, events.OpChattr:
		o.resolver.lately.changing(a.op, &a.first)
		o.resolver.lately.changing(a.op, &a.second)
	case events.OpChdir:
		o.changesDir(c)
	}
	if a.second.set {
		o.beliefs.linked.Linking(a.op, &a.first.info, a.second.path)
	}
	switch a.op {
	case events.OpDelete:
		if a.first.state == events.StateDir {
			o.resolver.dirs.removing(a.first.path, procfs.InodeOf(&a.first.info))
			o.moved()
		}
	case events.OpRename:
		if a.first.state == events.StateDir || a.second.state == events.StateDir {
			o.resolver.dirs.moving(a.first.path, procfs.InodeOf(&a.first.info))
			o.resolver.dirs.moving(a.second.path, procfs.InodeOf(&a.second.info))
			o.moved()
		}
	}
	if a.row.Has(syscalls.ChangesRoot) {
		o.rootsVary = true
	}
	if a.row.Has(syscalls.ChangesMounts) {
		o.mounts(c, a)
	}
}

// mounts is told of a call that is about to change mounts.
func (o *observer) mounts(c *call, a *access) {
	o.rootsVary = true
	o.spaces.mounting(a.tid)
	if a.apart = o.mountsApart(c); a.apart {
		return
	}
	o.mounting = true
	o.served.begin(a.first.path == "/proc" && a.row.How != syscalls.ByMount)
	o.resolver.dirs.disable()
	o.procfs.Dirs.Close()
	o.moved()
}

// mountsApart reports whether a call that changes mounts changes none that fstrace sees:
// mount(2).
func (o *observer) mountsApart(c *call) bool {
	const noMount = unix.MS_PRIVATE | unix.MS_SLAVE | unix.MS_SHARED | unix.MS_UNBINDABLE | unix.MS_REMOUNT
	if c == nil {
		return false
	}
	if c.row.How == syscalls.ByMount && c.args[3]&noMount != 0 {
		return true // it says how a mount that is there behaves
	}
	return o.view.space != nil && !o.view.space.shared
}

// noteLost notes the paths of a call that are not names of what it accesses.
func (o *observer) noteLost(c *call, a *access) {
	note := func(r *resolved) {
		if r.lost != nil {
			o.gaps.add(r.lost.Reason, c.proc.pid, r.lost.Detail)
		}
	}
	note(&a.first)
	note(&a.second)
	for i := range a.interpreters {
		note(&a.interpreters[i])
	}
}

// moved is told of directories that go elsewhere, with all that is in them.
func (o *observer) moved() {
	o.moves++
	o.resolver.lately.forget()
}
