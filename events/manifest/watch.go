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
// file that is still open at the end, notices that the kernel has merged. So somebody
// else can be overlooked, and the session is never taken for somebody else.
//
// A name is counted from the session's first making it, or writing to it. It is kept as a
// hash, and dropped when the session removes it. The methods may be called concurrently,
// and on nil.
type watcher struct {
	// served reports whether path is on a file system that may not answer.
	served func(path string) bool

	mu      sync.Mutex
	inotify *inotify
	off     bool // nothing is detected any more

	dirs    map[string]*watched // by path; nil of one that is not watched
	watches map[int32]*watched
	ends    map[string]*watched // by path: those that are no more, with what somebody else removed
	met     map[string]outsider // what the session then opened for writing
	files   map[int32]*tally    // of files with several names
	left    map[string]inode    // directories that the session was about to rename
	counted map[uint64]int      // hashes of the names in all directories
	unsure  nameFilter          // of names that were removed while files may have been open
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
	unsureBytes = 1 << 14 // of a filter
)

func newWatcher(served func(path string) bool) *watcher {
	w := &watcher{
		served: served, dirs: make(map[string]*watched), watches: make(map[int32]*watched), ends: make(map[string]*watched), met: make(map[string]outsider), files: make(map[int32]*tally),
		left: make(map[string]inode), counted: make(map[uint64]int),
	}
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
	if info.Known() && (op == events.OpDelete || op == events.OpRename) {
		w.leaving(path)
	}
	switch isDir := info.Mode&unix.S_IFMT == unix.S_IFDIR; {
	case op == events.OpChattr: // it makes something, or truncates it, and opens nothing
		w.tally(path)
	case op == events.OpWrite && !isDir:
		w.meet(path)
		w.writes(path, info)
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
		if w.left[path] = inodeOf(info); len(w.left) > mostLeft {
			w.stop()
		}
	case isDir: // it is removed, or something is put over it
		delete(w.dirs, path)
	}
}

// leaving notes that a call may take the name of what is at path away. It has been
// counted if the session made it.
func (w *watcher) leaving(path string) {
	name := maphash.String(hashSeed, baseOf(path))
	if w.counted[name] == 0 {
		return
	}
	w.drain() // what was done to it before was not this
	d := w.dir(parentOf(path))
	if d == nil { // it may be watched by another path
		for _, d := range w.watches {
			if t := d.names[name]; t != nil {
				t.unsure = true
			}
		}
		return
	}
	if t := d.names[name]; t != nil {
		t.leavings = min(t.leavings+1, mostTallied)
		t.kept = t.kept || t.renames > 0
	}
}

// meet notes what somebody else has done to a file that the session opens for writing
// again: it may read that.
func (w *watcher) meet(path string) {
	name := maphash.String(hashSeed, baseOf(path))
	if w.counted[name] == 0 {
		return
	}
	w.drain()
	if d := w.dir(parentOf(path)); d != nil && len(w.met) < mostLeft {
		if t := d.names[name]; t != nil && t.outsider&^dressed != 0 && !t.unsure {
			w.met[path] = t.outsider
		}
	}
}

// writes notes that a call opens a file for writing. If the file has more names, it is
// watched itself: somebody may write to it by another of them.
func (w *watcher) writes(path string, info *events.FileInfo) {
	if info.Nlink < 2 || info.Mode&unix.S_IFMT != unix.S_IFREG {
		return
	}
	if t := w.file(path, true); t != nil {
		t.writes = min(t.writes+1, mostTallied)
	}
}

// file returns the tally of a file by whatever name, nil if there is none.
func (w *watcher) file(path string, begin bool) *tally {
	if w.off || w.inotify == nil && !begin || w.dir(parentOf(path)) == nil {
		return nil
	}
	number, ok := w.inotify.add(path, 0)
	if !ok {
		return nil
	}
	t := w.files[number]
	if t == nil && begin {
		w.drain()
		t = &tally{unsure: w.isWriting()}
		w.files[number] = t
	}
	return t
}

// isWriting reports whether the session may have a file open for writing.
func (w *watcher) isWriting() bool {
	for _, d := range w.watches {
		for _, t := range d.names {
			if t.writes > 0 {
				return true
			}
		}
	}
	return false
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
	t := &tally{unsure: w.unsure.has(name)}
	d.names[name] = t
	w.counted[name]++
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
		number, ok = w.inotify.add(path, unix.IN_ONLYDIR)
	}
	switch {
	case ok:
		if d = w.watches[number]; d == nil {
			d = &watched{names: make(map[uint64]*tally)}
			w.watches[number] = d
		}
		d.path = path
	case w.inotify.full || len(w.watches)+len(w.files) >= w.inotify.most:
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

// finish reads the last notices, passes each of the paths to report to whose file
// somebody else did something, and ends the detection.
func (w *watcher) finish(paths iter.Seq[string], report func(path string, what outsider)) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.drain()
	for path, what := range w.met {
		report(path, what)
	}
	if w.hasOutsiders() {
		clear(w.dirs)
		for path := range paths {
			if what := w.outsider(path); what != 0 && w.met[path] == 0 {
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
		if was, ok := w.left[up]; ok && !w.isAt(up, was) {
			return 0 // what was counted may have been below another directory
		}
	}
	name := maphash.String(hashSeed, baseOf(path))
	if d := w.ends[parentOf(path)]; d != nil && d.names[name] != nil && !d.names[name].unsure {
		return d.names[name].outsider & outsiderRemoved
	}
	d := w.dir(parentOf(path))
	if d == nil {
		return 0
	}
	if len(w.files) > 0 {
		if t := w.file(path, false); t != nil && t.outsider != 0 && !t.unsure {
			return t.outsider
		}
	}
	t := d.names[name]
	if t == nil || t.unsure || t.outsider != 0 && isCasefolded(parentOf(path)) {
		return 0
	}
	return t.outsider
}

// isAt reports whether a directory is at path.
func (w *watcher) isAt(path string, dir inode) bool {
	if w.served(path) {
		return false
	}
	var st unix.Stat_t
	err := ignoringEINTR(func() error { return unix.Lstat(path, &st) })
	return err == nil && inode{st.Dev, st.Ino} == dir
}

func (w *watcher) hasOutsiders() bool {
	if len(w.ends) > 0 {
		return true
	}
	for _, t := range w.files {
		if t.outsider != 0 && !t.unsure {
			return true
		}
	}
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
	w.inotify, w.dirs, w.watches, w.ends, w.met, w.files, w.left, w.counted, w.unsure = nil, nil, nil, nil, nil, nil, nil, nil, nil
}

// strangers notes which outputs somebody else has changed after the session had.
func (x *outcome) strangers(w *watcher) {
	paths := func(yield func(string) bool) {
		for path, out := range x.outputs {
			if !out.Shared && x.reports(parentOf(path), baseOf(path)) && !yield(path) {
				return
			}
		}
		for _, path := range x.unmade {
			if x.reports(parentOf(path), baseOf(path)) && !yield(path) {
				return
			}
		}
	}
	w.finish(paths, func(path string, what outsider) {
		if out := x.outputs[path]; out != nil && out.State != events.StateFile {
			what &^= outsiderWrote // a FIFO, which the session opens as it likes
		}
		if what == 0 || what == dressed && !x.isUndressed(path) {
			return
		}
		x.fold.suspect(path, what.problem())
	})
}

// isUndressed reports whether path is something new, of which the session has changed no
// attributes.
func (x *outcome) isUndressed(path string) bool {
	const integrity = "security.ima" // which the kernel itself sets
	out := x.outputs[path]
	if out == nil || out.node == nil || out.node.status != made || out.node.attempt == tried {
		return false
	}
	if at := x.fold.paths.find(path); at != nil && at.accessed.has(events.OpChattr) {
		return false
	}
	if _, ok := x.fold.retold[inodeOf(&out.info)]; ok {
		return false
	}
	_, err := unix.Lgetxattr(path, integrity, nil)
	return err != nil
}
