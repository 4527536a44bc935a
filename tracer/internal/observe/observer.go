package observe

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

// A Call is one system call that is about to run. Its thread waits until the observer has
// looked at it.
type Call struct {
	TID, PID, PPID int
	Followed       bool     // by ptrace, which tells of its birth and end
	Dir            *WorkDir // of its process
	Row            *syscalls.Row
	ABI            *seccomp.ABI
	Args           [6]uint64
	Source         Source
}

// A Source reads what the arguments of a call point to: from the memory of the caller,
// which waits, or from a copy.
type Source interface {
	// CString returns a NUL-terminated string, and Bytes n bytes. The result is valid
	// until the next call. The errors are those of procfs.Memory.
	CString(tid int, addr uint64) ([]byte, error)
	Bytes(tid int, addr uint64, n int) ([]byte, error)
}

// Processes are the processes of a session.
type Processes interface {
	// WorkDir returns the cache for the working directory of a thread's process, or nil
	// if the session has no such thread.
	WorkDir(tid int) *WorkDir
}

// An Observer turns calls into accesses: it reads what their arguments point to, and
// resolves the paths. It must be used by one goroutine.
type Observer struct {
	*Shared
	procfs   procfs.Reader
	resolver *resolve.Resolver
	view     resolve.View // of the caller

	// What a recorded call was told.
	told   resolve.Told
	answer resolve.Answer
}

// A Shared is what the observers of a session share. The receiver's lock guards it.
type Shared struct {
	world      *resolve.World
	processes  Processes
	incomplete func(reason events.Reason, pid int, detail string)
	programs   programs
	expiring   map[expiry]resolve.Result
}

// NewShared returns what the observers of a session share. incomplete is called with each
// reason for an incomplete record; paths gets the mounts that are served inside the
// session.
func NewShared(p Processes, incomplete func(reason events.Reason, pid int, detail string), paths *resolve.ServedPaths) (*Shared, error) {
	w, err := resolve.NewWorld(func(tid int) bool { return p.WorkDir(tid) != nil }, paths)
	if err != nil {
		return nil, err
	}
	return &Shared{world: w, processes: p, incomplete: incomplete}, nil
}

// Close closes all open descriptors. Observers can still be used.
func (c *Shared) Close() { c.world.Close() }

// Answers must be called when a file system answers after its lookup was abandoned.
func (c *Shared) Answers() { c.world.Answers() }

// Slow must be called when the lookup in progress takes long, or is abandoned. It returns
// the mount if lookups on it need a timeout from now on.
func (o *Observer) Slow(givenUp bool) *resolve.ServedMount { return o.resolver.Slow(givenUp) }

// New returns an observer for a hand.
func New(c *Shared, h resolve.Hand) *Observer {
	o := &Observer{Shared: c}
	o.resolver = resolve.ForSession(c.world, h, &o.procfs)
	return o
}

// Close closes the descriptors of the observer. It can be used again.
func (o *Observer) Close() { o.procfs.Dirs.Close() }

// Observe fills a with what c accesses, and reports whether c accesses anything. A call
// that fails before it looks at a file does not, nor one on a descriptor that refers to
// no file.
func (o *Observer) Observe(c *Call, a *Access) bool {
	now := time.Now()
	o.resolver.Begin(now, c.TID, c.Row.Has(syscalls.Unmounts))
	o.resolver.NoCache = c.Row.Op == events.OpWrite || c.Row.Op == events.OpChattr
	*a = Access{time: now, TID: c.TID, pid: c.PID, row: c.Row, abi: c.ABI, op: c.Row.Op}
	var err error
	o.view, err = o.resolver.ViewOf(c.PID, c.TID)
	if err == nil {
		if c.Row.Flags != syscalls.None && c.Row.FlagType != syscalls.FlagsNone {
			a.flags, a.hasFlags = c.arg(c.Row.Flags), true
		}
		if c.Row.Op == events.OpChattr {
			a.sets = c.sets()
		}
		err = o.read(c, &o.view, a)
		o.noteLost(c, a)
	}
	switch {
	case err == nil:
		if a.First.Blocked || a.second.Blocked {
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
		o.incomplete(events.ReasonOpaqueProcess, c.PID, "its memory and directories may not be read: "+c.Row.Name)
		return true
	}
	a.setOpaque()
	o.incomplete(events.ReasonUnresolvedPath, c.PID, c.Row.Name+": "+err.Error())
	return true
}

// arg returns an argument by its number in the table.
func (c *Call) arg(n int8) uint64 { return c.Row.Argument(&c.Args, n, c.ABI) }

// sets returns what chmod or chown is to set. Other ABIs have calls with narrower
// arguments.
func (c *Call) sets() (s events.Attributes) {
	const permissions = 0o7777
	if c.ABI.Name != syscalls.NativeABI {
		return s
	}
	if n := c.Row.Mode; n != 0 {
		s.HasMode, s.Mode = true, uint32(c.arg(n))&permissions
	}
	if n := c.Row.Owner; n != 0 {
		s.HasOwner, s.UID, s.GID = true, uint32(c.arg(n)), uint32(c.arg(n+1))
	}
	return s
}

// Sleeps reports whether the call may sleep in the kernel until a signal interrupts it.
// Opening a file or directory does not; opening a FIFO, or a device, does.
func (c *Call) Sleeps(a *Access, observed bool) bool {
	if c.Row.How == syscalls.ByOpen || c.Row.How == syscalls.ByOpenHow {
		return observed && (a.First.State == events.StateOther || a.First.State == events.StateUnknown)
	}
	return c.Row.Has(syscalls.MaySleep)
}

// read reads the arguments by the method of the row.
func (o *Observer) read(c *Call, v *resolve.View, a *Access) error {
	switch c.Row.How {
	case syscalls.ByOpen:
		return o.open(c, v, a)
	case syscalls.ByOpenHow:
		return o.openHow(c, v, a)
	case syscalls.ByExec:
		return o.exec(c, v, a)
	case syscalls.BySymlink:
		target, err := c.Source.CString(c.TID, c.Args[0])
		if err != nil {
			return err
		}
		a.Target = string(target)
	case syscalls.BySockaddr:
		at := c.Row.First.Path
		return o.sockaddr(c, v, a, c.Args[at], c.Args[at+1])
	case syscalls.ByMessages:
		return o.messages(c, v, a, c.Args[1], c.Args[2])
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
		o.resolver.ForeseeRoot(c.Row.Has(syscalls.JoinsNamespace))
		return procfs.ErrNoFile
	case syscalls.ByRefs, syscalls.ByDenial, syscalls.ByPtrace, syscalls.BySeccomp, syscalls.ByPrctl:
	}
	return o.readRefs(c, v, a)
}

// readRefs reads the paths that the row names.
func (o *Observer) readRefs(c *Call, v *resolve.View, a *Access) (err error) {
	if a.First, err = o.lookup(c, v, c.Row.First, a.flags, false); err != nil {
		return err
	}
	if c.Row.Second.Set {
		a.second, err = o.lookup(c, v, c.Row.Second, a.flags, true)
	}
	return err
}

// lookup reads one path and resolves it.
func (o *Observer) lookup(c *Call, v *resolve.View, f syscalls.Ref, flags uint64, second bool) (resolve.Result, error) {
	if f.Path == syscalls.None {
		return o.descriptor(c, f)
	}
	addr := c.arg(f.Path)
	if addr == 0 {
		if f.Dir != syscalls.None && c.Row.NullIsDirectory(flags, second, int32(c.arg(f.Dir))) {
			return o.descriptor(c, f)
		}
		return resolve.Result{}, procfs.ErrBadAddress
	}
	name, err := c.Source.CString(c.TID, addr)
	if err != nil {
		return resolve.Result{}, err
	}
	if len(name) == 0 {
		if c.Row.EmptyIsDirectory(flags, second) {
			return o.descriptor(c, f)
		}
		return resolve.Result{}, procfs.ErrNoFile // ENOENT
	}
	mode := resolve.Mode(0)
	if c.Row.Follows(flags, second) {
		mode |= resolve.Follow
	}
	if c.Row.TakesEntry() {
		mode |= resolve.Entry
	}
	return o.resolve(c, v, f, name, mode)
}

// resolve resolves a path that is not empty.
func (o *Observer) resolve(c *Call, v *resolve.View, f syscalls.Ref, name []byte, mode resolve.Mode) (resolve.Result, error) {
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
func (o *Observer) base(c *Call, f syscalls.Ref) (resolve.Base, error) {
	dir := c.directory(f)
	p, err := o.placeOf(c, dir)
	if err != nil {
		return resolve.Base{}, err
	}
	return o.resolver.From(p, c.TID, dir, &o.view), nil
}

// directory returns the descriptor that a ref's relative paths begin at, or AT_FDCWD.
func (c *Call) directory(f syscalls.Ref) int {
	if f.Dir == syscalls.None {
		return unix.AT_FDCWD
	}
	return int(int32(c.arg(f.Dir)))
}

// placeOf returns what a descriptor, or AT_FDCWD, stands for.
func (o *Observer) placeOf(c *Call, fd int) (procfs.Place, error) {
	if fd == unix.AT_FDCWD {
		return o.cwd(c)
	}
	return o.procfs.Descriptor(c.TID, fd)
}

// descriptor returns what a descriptor, or AT_FDCWD, stands for.
func (o *Observer) descriptor(c *Call, f syscalls.Ref) (resolve.Result, error) {
	p, err := o.base(c, f)
	if err != nil {
		return resolve.Result{}, err
	}
	r, ok := o.resolver.Known(&p)
	if ok {
		return r, nil
	}
	fd := c.directory(f)
	mode, err := o.procfs.Mode(c.TID, fd, p.Path)
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
func (o *Observer) open(c *Call, v *resolve.View, a *Access) error {
	if c.Row.Flags == syscalls.None { // creat
		a.flags, a.hasFlags = unix.O_CREAT|unix.O_WRONLY|unix.O_TRUNC, false
	}
	a.flags &= 0xffffffff
	return o.openPath(c, v, a, 0)
}

// openHow reads openat2, whose flags are in a struct open_how.
func (o *Observer) openHow(c *Call, v *resolve.View, a *Access) error {
	const flagsAndMode, withResolve = 16, 24
	size := min(c.Args[3], withResolve)
	if size < withResolve { // OPEN_HOW_SIZE_VER0: the kernel says EINVAL
		return procfs.ErrNoFile
	}
	how, err := c.Source.Bytes(c.TID, c.Args[2], int(size))
	if err != nil {
		return err
	}
	a.flags = binary.NativeEndian.Uint64(how)
	return o.openPath(c, v, a, binary.NativeEndian.Uint64(how[flagsAndMode:]))
}

// openPath resolves the path of an open, and decides what the open means.
func (o *Observer) openPath(c *Call, v *resolve.View, a *Access, resolve uint64) error {
	name, err := c.Source.CString(c.TID, c.arg(c.Row.First.Path))
	if err != nil {
		return err
	}
	if len(name) == 0 {
		return procfs.ErrNoFile
	}
	o.resolver.NoCache = syscalls.OpenOp(a.flags, events.StateFile) == events.OpWrite
	if resolve&unix.RESOLVE_IN_ROOT != 0 {
		base, err := o.base(c, c.Row.First)
		if err != nil {
			return err
		}
		inside := v.Inside(&base)
		a.First = o.resolver.Resolve(&inside, base, name, openMode(a.flags))
	} else {
		plain := *v
		plain.NoLinks = resolve&unix.RESOLVE_NO_SYMLINKS != 0
		if a.First, err = o.resolve(c, &plain, c.Row.First, name, openMode(a.flags)); err != nil {
			return err
		}
	}
	a.op = syscalls.OpenOp(a.flags, a.First.State)
	return nil
}

// openMode says how open looks up the last component.
func openMode(flags uint64) resolve.Mode {
	if syscalls.OpenFollows(flags) {
		return resolve.Follow
	}
	return 0
}

// foresee updates the caches before a call that changes what paths lead to.
func (o *Observer) foresee(c *Call, a *Access) {
	if a.op == events.OpChdir {
		o.changesDir(c)
	}
	o.resolver.Foresee(a.op, &a.First, &a.second)
	if a.row.Has(syscalls.ChangesRoot) {
		o.resolver.ForeseeRoot(false)
	}
	if a.row.Has(syscalls.ChangesMounts) {
		a.otherNamespace = o.mountsElsewhere(c)
		o.resolver.ForeseeMount(a.TID, a.otherNamespace, a.First.Path == "/proc" && a.row.How != syscalls.ByMount)
	}
}

// mountsElsewhere reports whether a call that changes mounts changes only mounts that
// fstrace does not see: mount(2).
func (o *Observer) mountsElsewhere(c *Call) bool {
	const noMount = unix.MS_PRIVATE | unix.MS_SLAVE | unix.MS_SHARED | unix.MS_UNBINDABLE | unix.MS_REMOUNT
	if c.Row.How == syscalls.ByMount && c.Args[3]&noMount != 0 {
		return true // it says how a mount that is there behaves
	}
	return o.view.IsApart()
}

// noteLost notes the paths of a call that are not names of what it accesses.
func (o *Observer) noteLost(c *Call, a *Access) {
	note := func(r *resolve.Result) {
		if r.Lost != nil {
			o.incomplete(r.Lost.Reason, c.PID, r.Lost.Detail)
		}
	}
	note(&a.First)
	note(&a.second)
	for i := range a.interpreters {
		note(&a.interpreters[i])
	}
}

// GiveUp completes the access of a call whose lookup is abandoned, and returns the path
// that was looked up. The caches do not know what the call changes.
func (o *Observer) GiveUp(c *Call, a *Access) (missed string) {
	at, walking := o.resolver.Interrupted()
	switch {
	case walking:
		missed = at.Path
		if !a.First.Set {
			a.First = at
		} else if c.Row.Second.Set {
			a.second = at
		}
	case a.First.Set:
		missed = a.First.End()
	default:
		missed = "its memory"
		a.setOpaque()
	}
	if a.op == events.OpNone {
		a.op = syscalls.OpenOp(a.flags, events.StateUnknown)
	}
	o.resolver.Distrust()
	*c.Dir = WorkDir{sharing: sharedOtherwise}
	return missed
}
