package observe

import (
	"slices"
	"time"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/internal/certain"
	"github.com/fstrace/fstrace/seccomp"
	"github.com/fstrace/fstrace/tracer/internal/resolve"
	"github.com/fstrace/fstrace/tracer/internal/syscalls"
	"golang.org/x/sys/unix"
)

// An Access is what was learnt of one call before it was let through: enough to
// make its event of, later and elsewhere. It does not say by which means it was
// learnt.
type Access struct {
	time           time.Time
	pid, TID       int
	row            *syscalls.Row // nil for a descriptor that the command inherited
	abi            *seccomp.ABI
	op             events.Op
	flags          uint64
	hasFlags       bool
	opaque         bool   // what the call names could not be read
	result         string // as of events.Event
	otherNamespace bool   // it changes mounts, but none that fstrace sees
	sets           events.Attributes

	First, second resolve.Result
	Target        string           // what a new symbolic link holds
	interpreters  []resolve.Result // of the program that an exec names
	Running       Image            // what the kernel is to run for an exec
	address       string           // instead of first: what is no file
	more          []named          // what else the call names, an event each
}

// A named is what a call names beside the first.
type named struct {
	op      events.Op
	file    resolve.Result
	address string // instead of file
}

// setOpaque says that a call could be seen, but not what it names.
func (a *Access) setOpaque() {
	a.opaque = true
	a.First, a.second = resolve.Result{}, resolve.Result{}
	if a.op == events.OpNone {
		a.op = syscalls.OpenOp(a.flags, events.StateUnknown)
	}
}

// A Maker makes events of accesses. It is for one goroutine.
type Maker struct {
	event events.Event // the one being given
	// names holds the names of flags already met: a program uses few combinations.
	names map[flagsKey][]string
}

type flagsKey struct {
	kind syscalls.FlagType
	bits uint64
}

// maxFlagNames bounds the memory of names; a program that passes garbage pays.
const maxFlagNames = 1 << 12

// flags returns the names of an access's flags.
func (m *Maker) flags(a *Access) []string {
	key := flagsKey{syscalls.FlagsOpen, a.flags}
	if a.row != nil {
		key.kind = a.row.FlagType
	}
	if !a.hasFlags {
		return nil
	}
	names, ok := m.names[key]
	if !ok {
		if m.names == nil || len(m.names) >= maxFlagNames {
			m.names = make(map[flagsKey][]string)
		}
		names = key.kind.Names(key.bits)
		m.names[key] = names
	}
	return names
}

// Make calls yield with each event of an access: one, and one more for each interpreter
// of an exec and for what else the call names. The event is the callee's only until it
// returns.
func (m *Maker) Make(a *Access, yield func(*events.Event)) {
	e := &m.event
	*e = events.Event{
		Time: a.time, PID: a.pid, TID: a.TID, Op: a.op, Flags: m.flags(a),
		Path: a.First.Path, State: a.First.State, Real: a.First.Real, Links: a.First.Links,
		Target: a.Target, Address: a.address, Result: a.result, Info: a.First.Info, ToInfo: a.second.Info, Left: a.First.Left, Ways: a.First.Ways,
	}
	if a.row != nil {
		e.Syscall = a.row.Name
		if a.abi.Name != syscalls.NativeABI {
			e.ABI = a.abi.Name
		}
	}
	e.OtherNamespace, e.Sets = a.otherNamespace, a.sets
	if a.opaque {
		e.State = events.StateUnknown
	}
	e.As = given(a.First)
	if a.second.Set {
		e.To, e.ToState, e.ToAs = a.second.Path, a.second.State, given(a.second)
		if len(a.second.Links) > 0 {
			e.Links = append(e.Links[:len(e.Links):len(e.Links)], a.second.Links...)
		}
		if len(a.second.Left) > 0 {
			e.Left = append(e.Left[:len(e.Left):len(e.Left)], a.second.Left...)
		}
		if len(a.second.Ways) > 0 {
			e.Ways = append(e.Ways[:len(e.Ways):len(e.Ways)], a.second.Ways...)
		}
	}
	yield(e)
	for _, n := range a.more {
		*e = events.Event{
			Time: a.time, PID: a.pid, TID: a.TID, Op: n.op, Syscall: e.Syscall, ABI: e.ABI, Address: n.address,
			Path: n.file.Path, As: given(n.file), State: n.file.State, Real: n.file.Real, Links: n.file.Links, Left: n.file.Left, Ways: n.file.Ways, Info: n.file.Info,
		}
		yield(e)
	}
	for _, in := range a.interpreters {
		*e = events.Event{
			Time: a.time, PID: a.pid, TID: a.TID, Op: a.op, Syscall: e.Syscall, ABI: e.ABI,
			Path: in.Path, As: given(in), State: in.State, Real: in.Real, Links: in.Links, Left: in.Left, Ways: in.Ways, Info: in.Info,
		}
		yield(e)
	}
}

// Guarded calls guard with each existing file or symbolic link that the call may change,
// replace or remove, or give another time to, with each that it may make, and with
// whatever it may remove or rename.
func (a *Access) Guarded(guard func(op events.Op, path string, info events.FileInfo)) {
	op := a.op
	switch {
	case a.isFailing():
		return
	case op == events.OpWrite && a.row != nil && !a.row.Opens():
		op = events.OpChattr // truncate, say
	case op == events.OpList:
		guard(op, a.First.End(), a.First.Info)
		return
	case op == events.OpCreate:
		a.guardedMaking(guard)
		return
	case op == events.OpWrite, op == events.OpDelete, op == events.OpRename, a.row != nil && a.row.Has(syscalls.SetsTimes):
	default:
		return
	}
	if op == events.OpRename {
		a.guardedRename(guard)
		return
	}
	for _, r := range []*resolve.Result{&a.First, &a.second} {
		switch {
		case !r.Set:
		case r.Info.Mode&unix.S_IFMT == unix.S_IFREG, r.Info.Mode&unix.S_IFMT == unix.S_IFLNK,
			op == events.OpDelete, op == events.OpWrite && r.State == events.StateAbsent && !isStuck(r):
			guard(op, r.End(), r.Info)
		}
	}
}

// isFailing reports whether the call fails whatever it is to do.
func (a *Access) isFailing() bool {
	if a.row == nil {
		return false
	}
	const exclusive = unix.O_CREAT | unix.O_EXCL
	switch a.First.State {
	case events.StateFile, events.StateSymlink, events.StateOther: // EEXIST
		if a.op == events.OpWrite && a.row.Opens() && a.flags&exclusive == exclusive {
			return true
		}
	}
	c := certain.Call{
		Op: a.op, MakesDir: a.row.Has(syscalls.MakesDir),
		RemovesDir: a.row.Has(syscalls.RemovesDir) || a.op == events.OpDelete && a.flags&unix.AT_REMOVEDIR != 0,
		First:      certain.Path{As: a.First.As, State: a.First.State}, Second: certain.Path{As: a.second.As, State: a.second.State},
	}
	return c.Fails()
}

// isStuck reports whether the kernel does not get past what a path leads to, because
// nothing is there (missing/../x): then it makes nothing either.
func isStuck(r *resolve.Result) bool {
	return slices.ContainsFunc(r.Ways, func(w events.Way) bool { return w.State == events.StateAbsent && w.Path == r.End() })
}

// guardedMaking is guarded of a call that makes something, but no file by opening it.
func (a *Access) guardedMaking(guard func(op events.Op, path string, info events.FileInfo)) {
	name := &a.First
	if a.second.Set { // link
		name = &a.second
	}
	if name.Set && name.State == events.StateAbsent {
		guard(events.OpChattr, name.End(), events.FileInfo{})
	}
}

// guardedRename is guarded of a rename.
func (a *Access) guardedRename(guard func(op events.Op, path string, info events.FileInfo)) {
	pass := func(op events.Op, r *resolve.Result) {
		if r.Set {
			guard(op, r.End(), r.Info)
		}
	}
	exchange := a.flags&unix.RENAME_EXCHANGE != 0
	pass(events.OpCreate, &a.second)
	if exchange {
		pass(events.OpCreate, &a.First)
	}
	pass(events.OpRename, &a.First)
	if exchange {
		pass(events.OpRename, &a.second)
	}
}

// given returns the string that the program gave, where it says more than the path.
func given(r resolve.Result) string {
	if r.As == r.Path {
		return ""
	}
	return r.As
}
