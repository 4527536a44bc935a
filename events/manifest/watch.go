package manifest

import (
	"hash/maphash"
	"iter"
	"sync"

	"github.com/fstrace/fstrace/events"
	"golang.org/x/sys/unix"
)

// A watcher finds out whether somebody else writes to a file after the session has, or
// puts another in its place. What the session itself does is known before it does it; the
// kernel tells of each open file that was written to when it is closed, and of each
// rename, by any process. What is reported more often than the session can have done it
// was done by another process.
//
// Each uncertainty makes the session's number larger, never smaller: a call that fails, a
// file that is still open at the end, notices that the kernel has merged. So somebody else
// can be overlooked, and the session is never taken for somebody else.
//
// A name is counted from the session's first writing to it. It is kept as a hash, and
// dropped when it is removed. The methods may be called concurrently, and on nil.
type watcher struct {
	// served reports whether path is on a file system that may not answer.
	served func(path string) bool

	mu      sync.Mutex
	inotify *inotify
	off     bool // nothing is detected any more

	dirs    map[string]*watched // by path; nil of one that is not watched
	watches map[int32]*watched
	left    map[string]struct{} // paths of directories that the session renamed, or replaced
	names   int
	calls   int // since the notices were read

	// The last name that something was moved away from.
	cookie uint32
	from   tally

	take func(notice) // notice, made once
}

// A watched is a directory with the names in it that the session wrote to.
type watched struct {
	path  string // one of its paths
	names map[uint64]*tally
}

const (
	mostDirs    = 1 << 14 // paths of directories
	mostNames   = 1 << 18 // names in all directories; others are not counted
	mostLeft    = 1 << 10 // paths of renamed directories
	mostCalls   = 256     // before notices are read; the kernel keeps 16,384
	mostUnread  = 512     // events, likewise
	mostTallied = 1 << 30
)

func newWatcher(served func(path string) bool) *watcher {
	w := &watcher{served: served, dirs: make(map[string]*watched), watches: make(map[int32]*watched), left: make(map[string]struct{})}
	w.take = w.notice
	return w
}

// guard notes what a call is about to do, with the arguments of Recorder.Guard.
func (w *watcher) guard(op events.Op, path string, info *events.FileInfo) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tick(mostCalls)
	if w.off {
		return
	}
	switch isDir := info.Mode&unix.S_IFMT == unix.S_IFDIR; {
	case op == events.OpWrite && !isDir:
		if t := w.tally(path); t != nil {
			t.writes = min(t.writes+1, mostTallied)
		}
	case op == events.OpCreate && !isDir:
		if t := w.tally(path); t != nil {
			t.renames = min(t.renames+1, mostTallied)
		}
	case op == events.OpRename && !isDir:
		w.dir(parentOf(path)) // to hear of it
	case op == events.OpRename: // with all that is below it
		clear(w.dirs)
		if w.left[path] = struct{}{}; len(w.left) > mostLeft {
			w.stop()
		}
	case isDir: // it is removed, or something is put over it
		delete(w.dirs, path)
	}
}

// event is called of each event of the session.
func (w *watcher) event() {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tick(mostUnread)
}

// tick reads the notices once in a while.
func (w *watcher) tick(most int) {
	if w.calls++; w.calls >= most {
		w.drain()
	}
}

// tally returns that of a name, nil if there is none. A name is counted from now on: what
// was done to it before is read first.
func (w *watcher) tally(path string) *tally {
	dir, name := parentOf(path), maphash.String(hashSeed, baseOf(path))
	if d := w.dir(dir); d != nil && d.names[name] != nil {
		return d.names[name]
	}
	w.drain()
	d := w.dir(dir)
	if d == nil {
		return nil
	}
	if w.names == mostNames {
		w.stop()
		return nil
	}
	t := &tally{}
	d.names[name] = t
	w.names++
	return t
}

// dir returns the watched directory at path, nil if there is none.
func (w *watcher) dir(path string) *watched {
	if w.off {
		return nil
	}
	d, ok := w.dirs[path]
	if ok {
		return d
	}
	if w.inotify == nil {
		if w.inotify = newInotify(); w.inotify == nil {
			w.stop()
			return nil
		}
	}
	if len(w.dirs) == mostDirs {
		clear(w.dirs)
	}
	number, ok := int32(0), false
	if !w.served(path) {
		number, ok = w.inotify.add(path)
	}
	switch {
	case ok:
		if d = w.watches[number]; d == nil {
			d = &watched{names: make(map[uint64]*tally)}
			w.watches[number] = d
		}
		d.path = path
	case w.inotify.full || len(w.watches) >= w.inotify.most:
		w.stop()
		return nil
	}
	w.dirs[path] = d
	return d
}

// drain reads what the kernel has told.
func (w *watcher) drain() {
	if w.calls = 0; w.inotify != nil && !w.inotify.read(w.take) {
		w.stop()
	}
}

// finish reads the last notices, passes each of the paths to report to whose file somebody
// else did something, and ends the detection.
func (w *watcher) finish(paths iter.Seq[string], report func(path string, what outsider)) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.drain()
	if w.hasOutsiders() {
		clear(w.dirs)
		for path := range paths {
			if what := w.outsider(path); what != 0 {
				report(path, what)
			}
		}
	}
	w.stop()
}

// outsider returns what somebody else did to the file at a path.
func (w *watcher) outsider(path string) outsider {
	for up := path; up != "/"; {
		up = parentOf(up)
		if _, ok := w.left[up]; ok {
			return 0 // what was counted may have been below another directory
		}
	}
	d := w.dir(parentOf(path))
	if d == nil {
		return 0
	}
	t := d.names[maphash.String(hashSeed, baseOf(path))]
	if t == nil || t.unsure || t.outsider != 0 && isCasefolded(parentOf(path)) {
		return 0
	}
	return t.outsider
}

func (w *watcher) hasOutsiders() bool {
	for _, d := range w.watches {
		for _, t := range d.names {
			if t.outsider != 0 && !t.unsure {
				return true
			}
		}
	}
	return false
}

// close ends the detection, if finish is not called.
func (w *watcher) close() {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stop()
}

func (w *watcher) stop() {
	if w.off = true; w.inotify != nil {
		w.inotify.close()
	}
	w.inotify, w.dirs, w.watches, w.left = nil, nil, nil, nil
}

// strangers notes which outputs somebody else has changed after the session had.
func (x *outcome) strangers(w *watcher) {
	paths := func(yield func(string) bool) {
		for path, out := range x.outputs {
			isNamed := out.State == events.StateFile || out.State == events.StateSymlink
			if isNamed && !out.Shared && x.reports(parentOf(path), baseOf(path)) && !yield(path) {
				return
			}
		}
	}
	w.finish(paths, func(path string, what outsider) { x.changed(path, what.problem()) })
}
