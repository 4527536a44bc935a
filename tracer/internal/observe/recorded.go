package observe

import (
	"time"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/seccomp"
	"github.com/fstrace/fstrace/tracer/internal/procfs"
	"github.com/fstrace/fstrace/tracer/internal/resolve"
	"github.com/fstrace/fstrace/tracer/internal/syscalls"
	"golang.org/x/sys/unix"
)

// A Recorded is a call that its process has recorded instead of having it notified.
// Nobody holds the process still: the call may have returned, and the process may be
// gone. Its first path is its only one. The process has fstrace's own root directory and
// mounts.
type Recorded struct {
	At   time.Time
	PID  int
	TID  int
	Row  *syscalls.Row
	ABI  *seccomp.ABI
	Args [6]uint64
	Path []byte       // neither empty nor relative to a descriptor
	Dir  procfs.Place // where relative paths begin

	// Returned: what the caller was told is known.
	Returned bool
	Result   int64           // 0 or more, or -errno
	Info     events.FileInfo // what a stat has told
	HasInfo  bool
}

// ObserveRecorded fills a, which is blank, with what c accesses, and returns what was
// found there. If c has returned a says what its caller was told. Where that contradicts
// what was found, and the session has not changed it since, somebody else has: then the
// record is incomplete.
func (o *Observer) ObserveRecorded(c *Recorded, a *Access) (found resolve.Result) {
	o.resolver.Begin(time.Now(), c.PID, false)
	o.resolver.NoCache = false
	a.time, a.TID, a.pid, a.row, a.abi, a.op = c.At, c.TID, c.PID, c.Row, c.ABI, c.Row.Op
	if c.Row.Flags != syscalls.None && c.Row.FlagType != syscalls.FlagsNone {
		a.flags, a.hasFlags = c.Row.Argument(&c.Args, c.Row.Flags, c.ABI), true
	}
	o.view = resolve.View{Root: "/", PID: c.PID, TID: c.TID}
	mode := resolve.Mode(0)
	if c.Row.Follows(a.flags, false) {
		mode = resolve.Follow
	}
	base := resolve.Base{Place: c.Dir}
	absent := c.Returned && c.Result == -int64(unix.ENOENT)
	switch {
	case !c.Returned:
		found = o.resolver.Lookup(&o.view, base, c.Path, mode)
	case mode&resolve.Follow == 0 && (absent || c.HasInfo):
		o.told = resolve.Told{Info: c.Info, Absent: absent}
		found = o.resolver.LookupTold(&o.view, base, c.Path, &o.told)
	default:
		o.answer = resolve.Answer{Result: c.Result, Info: c.Info}
		found = o.resolver.LookupAnswered(&o.view, base, c.Path, mode, &o.answer)
	}
	a.First = found
	if found.Lost != nil {
		o.incomplete(found.Lost.Reason, c.PID, found.Lost.Detail)
	}
	if c.Returned {
		a.result = resultOf(c.Result)
		if c.contradicts(&a.First) {
			o.interfered(c, &found)
		}
	}
	if a.First.Blocked {
		a.op = events.OpStat
	}
	return found
}

// resultOf returns a result by its name: "" for an error without one.
func resultOf(result int64) string {
	if result >= 0 {
		return events.Succeeded
	}
	return unix.ErrnoName(unix.Errno(-result))
}

// Answer compares what a call has returned with what was found when it had only begun.
// The access stays what it is: it says what was there at that moment, as that of a
// notified call does.
func (o *Observer) Answer(c *Recorded, found resolve.Result) {
	told := found
	if c.contradicts(&told) {
		o.interfered(c, &found)
	}
}

// Unknown says that what the call names could not be found out.
func (a *Access) Unknown() { a.setOpaque() }

// interfered notes that a call was told something else than what was found by a look at
// its path, unless the session itself may have changed that in between.
func (o *Observer) interfered(c *Recorded, found *resolve.Result) {
	if !o.resolver.MayHaveChanged(found) {
		o.incomplete(events.ReasonChanged, c.PID, found.End()+": the command was told something else than what is there")
	}
}

// contradicts has r be what a call was told that it is, and reports whether that is
// something else than what was found. Content and times may have changed since: a file is
// itself as long as its inode is the same.
func (c *Recorded) contradicts(r *resolve.Result) (contradicted bool) {
	found := r.State
	errno := unix.Errno(-min(c.Result, 0))
	switch {
	case c.HasInfo:
		r.State = resolve.StateOf(c.Info.Mode)
		contradicted = r.State != found || r.Info.Known() && procfs.InodeOf(&r.Info) != procfs.InodeOf(&c.Info)
		r.Info, r.Blocked = c.Info, false
	case c.Result >= 0 && c.Row.Op == events.OpReadlink:
		if contradicted = found != events.StateSymlink; contradicted {
			r.State, r.Info, r.Blocked = events.StateSymlink, events.FileInfo{}, false
		}
	case c.Result >= 0:
		if contradicted = found == events.StateAbsent; contradicted {
			r.State, r.Info, r.Blocked = events.StateUnknown, events.FileInfo{}, false
		}
	case errno == unix.ENOENT:
		if contradicted = found != events.StateAbsent && !r.Blocked; contradicted {
			r.State, r.Info = events.StateAbsent, events.FileInfo{}
		}
	case errno == unix.EINVAL: // readlink of what is no link
		if contradicted = found == events.StateSymlink || found == events.StateAbsent; contradicted {
			r.State, r.Info = events.StateUnknown, events.FileInfo{}
		}
	}
	return contradicted && found != events.StateUnknown
}
