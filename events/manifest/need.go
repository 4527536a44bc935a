package manifest

import "github.com/fstrace/fstrace/events"

// need makes o an input, as far as e depends on it.
func (f *fold) need(o *origin, e *events.Event, path string) {
	o.ops |= opBit(e.Op)
	switch o.state {
	case events.StateFile:
		switch {
		case takesContent(e):
			f.needContent(o, path)
		case tellsTimes[e.Syscall], hasFlag(e, "O_PATH"): // fstat(2) of what was opened so is no event
			o.meta = true
		}
	case events.StateSymlink:
		f.readTarget(o, path)
	case events.StateDir:
		if e.Op == events.OpList && o.more.listing == nil {
			f.list(o, e, path)
		}
	}
	f.lookLate(o, path)
}

// lookLate looks at what the tracer knew without looking, or did not say: a directory,
// mostly. By now the session may have changed it, of which a later event tells.
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

// takesContent tells whether e depends on what a file holds.
func takesContent(e *events.Event) bool {
	switch e.Op {
	case events.OpRead, events.OpExec, events.OpWrite, events.OpRename, events.OpCreate:
		return true
	}
	return false
}

// tellsTimes are the calls by which a program learns a file's size and times. A
// program that only asks them may well decide by them that the file is as it was:
// make does, and Python before it takes a module from its cache. Other calls
// that stat events are made of tell existence, type and permissions.
var tellsTimes = map[string]bool{
	"stat": true, "lstat": true, "oldstat": true, "oldlstat": true, "stat64": true, "lstat64": true,
	"newfstatat": true, "fstatat64": true, "statx": true,
}

// list reads the names in a directory that the session lists. It is some time
// after it did so: what it itself made and removed meanwhile is known at the end.
func (f *fold) list(o *origin, e *events.Event, path string) {
	l := new(listed)
	o.edit().listing = l
	before, err := f.fs.lstat(path)
	if stateOf(&before, err) != events.StateDir || o.info.Known() && !isSame(o.info, &before) {
		l.unread = true // removed, or renamed: see in the end
		return
	}
	l.info = before
	l.late = before.Mtime >= e.Time.UnixNano()
	if l.names, err = f.fs.readDir(path); err != nil {
		l.names, l.info, l.unread = nil, events.FileInfo{}, true
	}
}
