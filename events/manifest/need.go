package manifest

import "github.com/fstrace/fstrace/events"

// need makes o an input, as far as e depends on it. n is where it stands now.
func (f *fold) need(o *origin, n *node, e *events.Event, path string) {
	o.ops |= opBit(e.Op)
	switch o.state {
	case events.StateFile:
		switch {
		case takesContent(e):
			f.needContent(o, path)
		case tellsTimes[e.Syscall]:
			o.meta = true
		}
	case events.StateSymlink:
		if o.target == "" {
			o.target, _ = f.fs.readlink(path)
		}
	case events.StateDir:
		if e.Op == events.OpList && !o.listed {
			f.list(o, e, path)
		}
	}
	if !o.info.Known() && exists(o.state) { // the tracer knew without looking, or did not say
		if info, err := f.fs.lstat(path); stateOf(&info, err) == o.state {
			o.info = info
		}
	}
}

// needContent has an origin's content hashed, as it was when it was first touched.
func (f *fold) needContent(o *origin, path string) {
	if o.hashing {
		return
	}
	o.hashing = true
	if o.info.Known() {
		f.hasher.want(path, &o.info)
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
	o.listed = true
	before, err := f.fs.lstat(path)
	if err != nil {
		return // removed: then all that it held has been, by name
	}
	o.listInfo = before
	o.listedLate = before.Mtime >= e.Time.UnixNano()
	if o.names, err = f.fs.readDir(path); err != nil {
		o.names, o.listInfo = nil, events.FileInfo{}
	}
}
