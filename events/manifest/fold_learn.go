package manifest

import (
	"github.com/fstrace/fstrace/events"
)

// learn notes that e has learned what of o, which stands at path.
func (f *fold) learn(o *origin, e *events.Event, what facts, path string) {
	o.ops |= opBit(e.Op)
	o.facts |= what
	switch o.state {
	case events.StateFile:
		if what.has(factContent) {
			f.needContent(o, path)
		}
	case events.StateSymlink:
		f.readTarget(o, path)
	case events.StateDir:
		if what.has(factNames|factEmpty) && o.more.listing == nil {
			f.list(o, e, path)
		}
	}
	f.lookLate(o, path)
}

// lookLate looks at what the tracer knew without looking, or did not say: a directory,
// mostly. By now the session may have changed it, as a later event reports.
func (f *fold) lookLate(o *origin, path string) {
	if o.info.Known() || !exists(o.state) {
		return
	}
	if info, err := f.fs.lstat(path); stateOf(&info, err) == o.state {
		o.info, o.late = f.infos.add(info), true
	}
}

// readTarget reads a symbolic link that the session looked at and did not follow. That
// was some time ago: if the session has removed it since, its guard has read it.
func (f *fold) readTarget(o *origin, path string) {
	if o.more.target != "" {
		return
	}
	target, err := f.fs.readlink(path)
	if err == nil && o.info.Known() {
		// What a link holds never changes: is it the same link?
		if now, err := f.fs.lstat(path); err != nil || contentOf(&now) != contentOf(o.info) {
			target = ""
		}
	}
	if target == "" && o.info.Known() {
		target = f.hasher.target(o.info)
	}
	o.edit().target = target
}

// needContent has an origin's content hashed, as it was when it was first touched.
func (f *fold) needContent(o *origin, path string) {
	if o.hashing {
		return
	}
	o.hashing = true
	if o.info.Known() {
		f.hasher.want(path, o.info)
	}
}

// list reads the names in a directory that the session lists, or tries to remove. It is
// some time after it did so: what it itself made and removed meanwhile is known at the
// end.
func (f *fold) list(o *origin, e *events.Event, path string) {
	l := new(listed)
	o.edit().listing = l
	r := f.listings.take(path, true)
	if r.err != nil || o.info.Known() && !isSame(o.info, &r.info) {
		l.unread = true // removed, or renamed: see in the end
		return
	}
	l.info = r.info
	// What the tracer saw as the call was made is better than the time of the call: files
	// are stamped by a clock that is some milliseconds behind.
	l.late, l.lateBy = r.info.Mtime >= e.Time.UnixNano(), r.info.Ctime >= e.Time.UnixNano()
	stirred, isStirred := f.stirred[o]
	before := &e.Info
	switch {
	case r.before.Known():
		before = &r.before
	case !before.Known() && !isStirred && !o.late:
		before = o.info // as it was opened
	}
	if before.Known() && isSame(before, &r.info) {
		l.late, l.lateBy = r.info.Mtime != before.Mtime, r.info.Ctime != before.Ctime
		l.alone = e.Op == events.OpList && (!isStirred || f.isDone(stirred, e))
	}
	l.late = l.late || r.changing
	l.names, l.readHash = r.names, hashNames(r.names) // now, while the command runs
}

// A stir is what the session has done to the names in a directory.
type stir struct {
	pid, tid int
	mixed    bool // more than one thread may have been about it at once
}

// isDone reports whether all that was done is over as e is made: a thread makes one call
// after the other, and a process that has ended makes none.
func (f *fold) isDone(s stir, e *events.Event) bool {
	if s.mixed || s.tid == e.TID {
		return !s.mixed
	}
	_, running := f.processes.now[s.pid]
	return !running
}

// stir notes that e may make or remove a name in the directory of n.
func (f *fold) stir(n *node, e *events.Event) {
	up := n.parent()
	if up == nil || up.from == nil {
		return
	}
	s, ok := f.stirred[up.from]
	mixed := ok && !f.isDone(s, e)
	f.stirred[up.from] = stir{e.PID, e.TID, mixed}
}
