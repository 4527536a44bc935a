package resolve

import (
	"bytes"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/tracer/internal/procfs"
	"github.com/fstrace/fstrace/tracer/internal/sys"
	"golang.org/x/sys/unix"
)

// Lookup is [Resolver.Resolve], but takes results of the last 10 ms from the cache where
// nothing can have changed them.
func (r *Resolver) Lookup(v *View, base Base, path []byte, mode Mode) Result {
	if mode&Entry != 0 || r.NoCache || base.Gone || v.Root != "/" || v.anchor.name != "" || base.anchor != nil || v.NoLinks {
		return r.Resolve(v, base, path, mode)
	}
	if found, ok := r.recent.find(base.Path, path, r.Now); ok {
		return found
	}
	found := r.Resolve(v, base, path, mode)
	r.recent.keep(&found, &r.dirs, r.Now)
	return found
}

// Resolve walks a path from base if it is relative, from the root of the view otherwise.
func (r *Resolver) Resolve(v *View, base Base, path []byte, mode Mode) Result {
	w := walk{Resolver: r, view: v, anchor: v.anchor, out: Result{Set: true, As: string(path)}, follow: mode&Follow != 0, entry: mode&Entry != 0}
	name := bytes.TrimRight(path, "/")
	if len(name) < len(path) && !w.entry || bytes.HasSuffix(name, []byte("/.")) {
		w.follow = true // the last component must be a directory
	}
	r.rest = append(r.rest[:0], path...)
	if path[0] == '/' {
		r.cur = setDir(r.cur, v.Root)
	} else {
		r.cur = setDir(r.cur, base.Path)
		w.gone = base.Gone
		if base.anchor != nil {
			w.anchor = *base.anchor
		}
	}
	w.skip()
	r.busy = true
	w.run()
	r.busy = false
	return w.out
}

// setDir stores a directory's path the way walks hold it: the root as "".
func setDir(cur []byte, path string) []byte {
	if path == "/" {
		path = ""
	}
	return append(cur[:0], path...)
}

// A walk is one resolution in progress.
type walk struct {
	*Resolver
	view   *View
	anchor anchor // where cur is
	out    Result
	follow bool
	entry  bool // the call makes or removes an entry
	gone   bool // cur was removed
	hops   int
	atLink bool // out.path is already set: the rest leads to out.real
}

// skip goes to the directory that the last component is in at once, if it is known by
// the very string that leads there: what is known is canonical, so there are no links
// on the way, nor dots.
func (w *walk) skip() {
	end := bytes.LastIndexByte(w.rest, '/')
	if end <= 0 || w.gone || !w.onHost() {
		return
	}
	switch string(w.rest[end+1:]) {
	case "", ".", "..":
		return // the directory is what the path is about
	}
	from := len(w.cur)
	if w.rest[0] != '/' {
		w.cur = append(w.cur, '/')
	}
	w.cur = append(w.cur, w.rest[:end]...)
	if !w.dirs.has(w.cur) || len(w.dirs.movedPaths) > 0 && w.dirs.underMoved(string(w.cur)) {
		w.cur = w.cur[:from]
		return
	}
	w.rest = w.rest[end:]
}

// run walks until there is a result. Each round takes one component off rest.
func (w *walk) run() {
	for {
		name, last := w.next()
		switch {
		case name == nil:
			w.finishDir()
			return
		case string(name) == "..":
			w.up()
			if last {
				w.finishDir()
				return
			}
			continue
		}
		if w.gone { // a removed directory has no entries
			w.finishAbsent(name)
			return
		}
		parent := len(w.cur)
		w.cur = append(append(w.cur, '/'), name...)
		if !last && w.onHost() && w.dirs.has(w.cur) {
			continue
		}
		if w.step(parent, last) {
			return
		}
	}
}

// next takes the next component off rest, skipping "." and empty ones, and reports
// whether it is the last. It returns nil if there is none.
func (w *walk) next() (name []byte, last bool) {
	for {
		w.rest = bytes.TrimLeft(w.rest, "/")
		if len(w.rest) == 0 {
			return nil, true
		}
		end := bytes.IndexByte(w.rest, '/')
		if end < 0 {
			end = len(w.rest)
		}
		name, w.rest = w.rest[:end], w.rest[end:]
		if string(name) == "." {
			continue
		}
		return name, onlyDots(w.rest)
	}
}

// onlyDots reports whether a path has no component but ".".
func onlyDots(path []byte) bool {
	for i, c := range path {
		if c == '/' {
			continue
		}
		if c != '.' || path[i-1] != '/' || i+1 < len(path) && path[i+1] != '/' {
			return false
		}
	}
	return true
}

// up goes to the parent directory: cur has no symbolic links, so cutting it is
// right. The root is its own parent.
func (w *walk) up() {
	if w.atRoot() {
		return
	}
	w.out.Left = append(w.out.Left, w.hostPath(string(w.cur)))
	w.cur = w.cur[:max(0, bytes.LastIndexByte(w.cur, '/'))]
	w.gone = false // a parent is there as long as its name is asked for: lstat tells
}

func (w *walk) atRoot() bool {
	return len(w.cur) == 0 || string(w.cur) == w.view.Root
}

// step looks at cur, whose last component begins behind parent, and reports whether the
// walk is over.
func (w *walk) step(parent int, last bool) bool {
	if w.isSelf(parent) {
		return w.jumpSelf(parent, last)
	}
	told := last && w.told != nil && !w.follow && w.onHost()
	if link, ok := w.knownLink(last); ok {
		return w.goOnAt(parent, link, last)
	}
	if last && !told && w.finishKnown() {
		return true
	}
	var errno unix.Errno
	if told {
		errno = w.told.lstat(&w.stat)
	} else {
		errno = w.lstat(last)
	}
	switch {
	case errno == errnoUnanswered:
		w.finishUnanswered()
		return true
	case errno == unix.ENOENT, errno == unix.ENOTDIR, errno == unix.ENAMETOOLONG: // a name over NAME_MAX
		if !last {
			w.passed(events.StateAbsent)
		}
		w.finishMissing(events.StateAbsent)
		return true
	case errno != 0:
		w.finish(events.StateUnknown)
		return true
	}
	switch kind := w.stat.Mode & unix.S_IFMT; {
	case kind == unix.S_IFLNK && w.view.NoLinks:
		w.finish(events.StateSymlink)
		return true
	case kind == unix.S_IFLNK && (!last || w.follow):
		return w.followLink(parent, last)
	case last:
		w.out.Info = InfoOf(&w.stat)
		w.finish(StateOf(w.stat.Mode))
		return true
	case kind == unix.S_IFDIR:
		w.passed(events.StateDir)
		if w.onHost() {
			w.enterDir()
		}
		return false
	}
	w.passed(StateOf(w.stat.Mode))
	w.finishMissing(StateOf(w.stat.Mode)) // a file where a directory should be: ENOTDIR
	return true
}

// passed notes what stands at cur, on the way to something else.
func (w *walk) passed(s events.State) {
	if !w.onHost() {
		return
	}
	way := events.Way{Path: string(w.cur), State: s}
	if s != events.StateAbsent && w.stat.Nlink > 0 { // lstatCached does not know the owner
		way.Info = InfoOf(&w.stat)
	}
	w.out.Ways = append(w.out.Ways, way)
}

// enterDir remembers the directory at cur, if it will stay there.
func (w *walk) enterDir() {
	dir := procfs.Inode{Dev: w.stat.Dev, Ino: w.stat.Ino}
	if len(w.dirs.movedDirs) > 0 && w.dirs.isMoved(dir) {
		w.out.viaMoved = true
	}
	if !w.out.viaMoved {
		w.dirs.add(w.cur, dir)
	}
}

// finishDir ends a walk that came to a directory already known to be one. It is what
// the call is about, so that it is looked at, unless it was a moment ago.
func (w *walk) finishDir() {
	if !w.gone {
		if w.finishKnown() {
			return
		}
		if errno := w.lstat(true); errno == 0 && StateOf(w.stat.Mode) == events.StateDir {
			w.out.Info = InfoOf(&w.stat)
		}
	}
	w.finish(events.StateDir)
}

// finish ends the walk at cur.
func (w *walk) finish(s events.State) {
	path := "/"
	if len(w.cur) > 0 {
		path = w.text(w.cur)
	}
	if !w.onHost() {
		w.out.file = string(sys.TrimNUL(w.kernelName()))
	}
	w.finishAt(w.hostPath(path), s)
}

// text makes a string of path: the one that the program gave, where it is the
// same, as it is for most paths.
func (w *walk) text(path []byte) string {
	if string(path) == w.out.As {
		return w.out.As
	}
	return string(path)
}

func (w *walk) finishAt(path string, s events.State) {
	if w.atLink {
		w.out.Real = path
	} else {
		w.out.Path = path
	}
	w.out.State = s
}

// finishAbsent ends the walk at a name in a directory that cannot have any.
func (w *walk) finishAbsent(name []byte) {
	w.cur = append(append(w.cur, '/'), name...)
	w.finishMissing(events.StateAbsent)
}

// finishMissing ends the walk at cur, where nothing is, or no directory: the rest of
// the path is kept behind it, and absent. Where the rest goes up again it is not: the
// kernel never got there, and it is not known where it would have led. Then cur is
// what was looked up, in the state it has.
func (w *walk) finishMissing(state events.State) {
	n := len(w.cur)
	for {
		name, _ := w.next()
		if name == nil {
			break
		}
		if string(name) == ".." {
			if w.cur = w.cur[:n]; state != events.StateAbsent {
				w.out.Info, w.out.Blocked = InfoOf(&w.stat), true
			}
			w.finish(state)
			return
		}
		w.cur = append(append(w.cur, '/'), name...)
	}
	if len(w.cur) > n {
		state = events.StateAbsent
	}
	w.finish(state)
}

// finishUnanswered ends the walk at cur, whose file system does not answer. What is left
// of the path is kept behind it as it is.
func (w *walk) finishUnanswered() {
	w.cur = appendRest(w.cur, w.rest)
	w.finish(events.StateUnknown)
}

// appendRest appends what a walk has not come to, without "." and empty components.
func appendRest(cur, rest []byte) []byte {
	for name := range bytes.SplitSeq(rest, []byte("/")) {
		if len(name) > 0 && string(name) != "." {
			cur = append(append(cur, '/'), name...)
		}
	}
	return cur
}
