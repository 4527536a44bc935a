package tracer

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/seccomp"
	"github.com/fstrace/fstrace/tracer/internal/procfs"
	"github.com/fstrace/fstrace/tracer/internal/resolve"
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
	resolver *resolve.Resolver
	view     resolve.View // of the caller
}

// A common is what the observers of a session share. It belongs to who holds the
// receiver's lock.
type common struct {
	world    *resolve.World
	programs programs
	registry *registry
	gaps     *gaps
	expiring map[expiry]resolve.Result
}

func newCommon(registry *registry, gaps *gaps, paths *resolve.ServedPaths) (*common, error) {
	inSession := func(tid int) bool {
		p, _ := registry.find(tid)
		return p != nil
	}
	w, err := resolve.NewWorld(inSession, paths)
	if err != nil {
		return nil, err
	}
	return &common{world: w, registry: registry, gaps: gaps}, nil
}

// newObserver returns an observer for a hand.
func newObserver(c *common, h resolve.Hand) *observer {
	o := &observer{common: c}
	o.memory.Marker = h
	o.resolver = resolve.ForSession(c.world, h, &o.procfs)
	return o
}

// close lets go of what the observer has open. It can be used again.
func (o *observer) close() { o.procfs.Dirs.Close() }

// observe fills a with what c accesses. It tells whether there is anything: calls
// that fail before they look at a file, and descriptors that name none, are no
// accesses.
func (o *observer) observe(c *call, a *access) bool {
	now := time.Now()
	o.resolver.Begin(now, c.tid, c.row.Has(syscalls.Unmounts))
	*a = access{time: now, tid: c.tid, pid: c.proc.pid, row: c.row, abi: c.abi, op: c.row.Op}
	var err error
	o.view, err = o.resolver.ViewOf(c.proc.pid, c.tid)
	if err == nil {
		if c.row.Flags != syscalls.None && c.row.FlagType != syscalls.FlagsNone {
			a.flags, a.hasFlags = c.arg(c.row.Flags), true
		}
		err = o.read(c, &o.view, a)
		o.noteLost(c, a)
	}
	switch {
	case err == nil:
		if a.first.Blocked || a.second.Blocked {
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
		return observed && (a.first.State == events.StateOther || a.first.State == events.StateUnknown)
	}
	return c.row.Has(syscalls.MaySleep)
}

// read does what the row's method says.
func (o *observer) read(c *call, v *resolve.View, a *access) error {
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
		o.resolver.ForeseeRoot(c.row.Has(syscalls.JoinsNamespace))
		return procfs.ErrNoFile
	case syscalls.ByRefs, syscalls.ByDenial, syscalls.ByPtrace, syscalls.BySeccomp, syscalls.ByPrctl:
	}
	return o.readRefs(c, v, a)
}

// readRefs reads the paths that the row names.
func (o *observer) readRefs(c *call, v *resolve.View, a *access) (err error) {
	if a.first, err = o.lookup(c, v, c.row.First, a.flags, false); err != nil {
		return err
	}
	if c.row.Second.Set {
		a.second, err = o.lookup(c, v, c.row.Second, a.flags, true)
	}
	return err
}

// lookup reads one path and resolves it.
func (o *observer) lookup(c *call, v *resolve.View, f syscalls.Ref, flags uint64, second bool) (resolve.Result, error) {
	if f.Path == syscalls.None {
		return o.descriptor(c, f)
	}
	addr := c.arg(f.Path)
	if addr == 0 {
		if f.Dir != syscalls.None && c.row.NullIsDirectory(flags, second, int32(c.arg(f.Dir))) {
			return o.descriptor(c, f)
		}
		return resolve.Result{}, procfs.ErrBadAddress
	}
	name, err := o.memory.CString(c.tid, addr)
	if err != nil {
		return resolve.Result{}, err
	}
	if len(name) == 0 {
		if c.row.EmptyIsDirectory(flags, second) {
			return o.descriptor(c, f)
		}
		return resolve.Result{}, procfs.ErrNoFile // ENOENT
	}
	mode := resolve.Mode(0)
	if c.row.Follows(flags, second) {
		mode |= resolve.Follow
	}
	if c.row.TakesEntry() {
		mode |= resolve.Entry
	}
	return o.resolve(c, v, f, name, mode)
}

// resolve resolves a path that is not empty.
func (o *observer) resolve(c *call, v *resolve.View, f syscalls.Ref, name []byte, mode resolve.Mode) (resolve.Result, error) {
	var base resolve.Base
	if name[0] != '/' {
		var err error
		if base, err = o.base(c, f); err != nil {
			return resolve.Result{}, err
		}
	}
	return o.resolver.Lookup(v, base, name, mode), nil
}

// base returns the directory that a ref's relative paths begin at.
func (o *observer) base(c *call, f syscalls.Ref) (resolve.Base, error) {
	dir := c.directory(f)
	p, err := o.placeOf(c, dir)
	if err != nil {
		return resolve.Base{}, err
	}
	return o.resolver.From(p, c.tid, dir, &o.view), nil
}

// directory returns the descriptor that a ref's relative paths begin at, or AT_FDCWD.
func (c *call) directory(f syscalls.Ref) int {
	if f.Dir == syscalls.None {
		return unix.AT_FDCWD
	}
	return int(int32(c.arg(f.Dir)))
}

// placeOf returns what a descriptor, or AT_FDCWD, stands for.
func (o *observer) placeOf(c *call, fd int) (procfs.Place, error) {
	if fd == unix.AT_FDCWD {
		return o.cwd(c)
	}
	return o.procfs.Descriptor(c.tid, fd)
}

// descriptor returns what a descriptor, or AT_FDCWD, stands for.
func (o *observer) descriptor(c *call, f syscalls.Ref) (resolve.Result, error) {
	p, err := o.base(c, f)
	if err != nil {
		return resolve.Result{}, err
	}
	r, ok := o.resolver.Known(&p)
	if ok {
		return r, nil
	}
	fd := c.directory(f)
	mode, err := o.procfs.Mode(c.tid, fd, p.Path)
	if errors.Is(err, procfs.ErrUnanswered) {
		r.State = events.StateUnknown
		return r, nil
	}
	if err != nil {
		return resolve.Result{}, err
	}
	if p.Gone && procfs.IsMemfd([]byte(p.Path)) {
		return resolve.Result{}, procfs.ErrNoFile
	}
	r.State, r.Info = resolve.StateOf(mode), resolve.InfoOf(&o.procfs.Stat)
	return r, nil
}

// open reads open, openat and creat.
func (o *observer) open(c *call, v *resolve.View, a *access) error {
	if c.row.Flags == syscalls.None { // creat
		a.flags, a.hasFlags = unix.O_CREAT|unix.O_WRONLY|unix.O_TRUNC, false
	}
	a.flags &= 0xffffffff
	return o.openPath(c, v, a, 0)
}

// openHow reads openat2, whose flags are in a struct open_how.
func (o *observer) openHow(c *call, v *resolve.View, a *access) error {
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
func (o *observer) openPath(c *call, v *resolve.View, a *access, resolve uint64) error {
	name, err := o.memory.CString(c.tid, c.arg(c.row.First.Path))
	if err != nil {
		return err
	}
	if len(name) == 0 {
		return procfs.ErrNoFile
	}
	if resolve&unix.RESOLVE_IN_ROOT != 0 {
		base, err := o.base(c, c.row.First)
		if err != nil {
			return err
		}
		inside := v.Inside(&base)
		a.first = o.resolver.Resolve(&inside, base, name, openMode(a.flags))
	} else {
		plain := *v
		plain.NoLinks = resolve&unix.RESOLVE_NO_SYMLINKS != 0
		if a.first, err = o.resolve(c, &plain, c.row.First, name, openMode(a.flags)); err != nil {
			return err
		}
	}
	a.op = syscalls.OpenOp(a.flags, a.first.State)
	return nil
}

// openMode says how open looks up the last component.
func openMode(flags uint64) resolve.Mode {
	if syscalls.OpenFollows(flags) {
		return resolve.Follow
	}
	return 0
}

// foresee prepares for what a call is about to change in what paths mean.
func (o *observer) foresee(c *call, a *access) {
	if a.op == events.OpChdir {
		o.changesDir(c)
	}
	o.resolver.Foresee(a.op, &a.first, &a.second)
	if a.row.Has(syscalls.ChangesRoot) {
		o.resolver.ForeseeRoot(false)
	}
	if a.row.Has(syscalls.ChangesMounts) {
		a.apart = o.mountsApart(c)
		o.resolver.ForeseeMount(a.tid, a.apart, a.first.Path == "/proc" && a.row.How != syscalls.ByMount)
	}
}

// mountsApart reports whether a call that changes mounts changes none that fstrace sees:
// mount(2).
func (o *observer) mountsApart(c *call) bool {
	const noMount = unix.MS_PRIVATE | unix.MS_SLAVE | unix.MS_SHARED | unix.MS_UNBINDABLE | unix.MS_REMOUNT
	if c.row.How == syscalls.ByMount && c.args[3]&noMount != 0 {
		return true // it says how a mount that is there behaves
	}
	return o.view.IsApart()
}

// noteLost notes the paths of a call that are not names of what it accesses.
func (o *observer) noteLost(c *call, a *access) {
	note := func(r *resolve.Result) {
		if r.Lost != nil {
			o.gaps.add(r.Lost.Reason, c.proc.pid, r.Lost.Detail)
		}
	}
	note(&a.first)
	note(&a.second)
	for i := range a.interpreters {
		note(&a.interpreters[i])
	}
}

// giveUp completes the access of a call whose look-up is given up, and returns what was
// looked at. What the call changes was not foreseen.
func (o *observer) giveUp(c *call, a *access) (missed string) {
	at, walking := o.resolver.Interrupted()
	switch {
	case walking:
		missed = at.Path
		if !a.first.Set {
			a.first = at
		} else if c.row.Second.Set {
			a.second = at
		}
	case a.first.Set:
		missed = a.first.End()
	default:
		missed = "its memory"
		a.setOpaque()
	}
	if a.op == events.OpNone {
		a.op = syscalls.OpenOp(a.flags, events.StateUnknown)
	}
	o.resolver.Distrust()
	c.proc.dir = workDir{sharing: sharedOtherwise}
	return missed
}
