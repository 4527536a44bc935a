package tracer

import (
	"bytes"

	"github.com/fstrace/fstrace/events"
	"golang.org/x/sys/unix"
)

// A place is a directory where a relative path begins.
type place struct {
	path string // canonical, as fstrace names it
	gone bool   // it was removed: nothing but ".." can be found in it
}

// A resolved path.
type resolved struct {
	set   bool
	as    string // as the program gave it; "" if it gave a descriptor
	path  string // absolute, the directory part without symbolic links
	real  string // what path leads to, if the call follows a link there
	state events.State
	links []events.Link
	info  events.FileInfo // of what state is about, where it was looked at
}

// maxLinks is how many symbolic links the kernel follows on one path:
// path_resolution(7).
const maxLinks = 40

// A resolver finds out what paths lead to, as the kernel does, without opening
// anything. It is for one goroutine.
//
// It walks a path component by component with lstat and readlink: the kernel
// could resolve a path in one call, but would not tell which symbolic links it
// followed, and a cache must know each of them. Directories once seen to be
// such are remembered (dircache.go), so that most paths cost one lstat.
type resolver struct {
	dirs dirCache

	// Buffers of the walk in progress, kept from call to call.
	cur   []byte // the canonical path so far; "" is the root of all
	rest  []byte // what is still to be walked
	spare []byte // rest's next content, when a link is put before it
	name  []byte // cur, with the prefix and a NUL, for the kernel
	link  [pathMax]byte
	stat  unix.Stat_t
}

// resolve walks path from base (for a relative path) or from the view's root.
// follow says whether a symbolic link at the end is followed, parent that the
// call names an entry to be made or removed: a trailing slash then does not make
// the kernel follow it.
func (r *resolver) resolve(v *view, base place, path []byte, follow, parent bool) resolved {
	w := walk{resolver: r, view: v, out: resolved{set: true, as: string(path)}, follow: follow}
	if bytes.HasSuffix(path, []byte("/")) && !parent || bytes.HasSuffix(path, []byte("/.")) {
		w.follow = true // what comes last must be a directory
	}
	r.rest = append(r.rest[:0], path...)
	if path[0] == '/' {
		r.cur = setDir(r.cur, v.root)
	} else {
		r.cur = setDir(r.cur, base.path)
		w.gone = base.gone
	}
	w.run()
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
	*resolver
	view   *view
	out    resolved
	follow bool
	gone   bool // cur was removed
	hops   int
	atLink bool // out.path is already set: the rest leads to out.real
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
		if !last && w.view.prefix == "" && w.dirs.has(w.cur) {
			continue
		}
		if w.step(parent, last) {
			return
		}
	}
}

// next takes the next component off rest, skipping "." and empty ones, and tells
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

// onlyDots tells whether a path has no component but ".".
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
	w.cur = w.cur[:max(0, bytes.LastIndexByte(w.cur, '/'))]
	w.gone = false // a parent is there as long as its name is asked for: lstat tells
}

func (w *walk) atRoot() bool {
	return len(w.cur) == 0 || string(w.cur) == w.view.root
}

// step looks at cur, whose last component begins behind parent, and tells
// whether the walk is over.
func (w *walk) step(parent int, last bool) bool {
	if w.isSelf(parent) {
		return w.jumpSelf(parent, last)
	}
	errno := w.lstat()
	switch {
	case errno == unix.ENOENT, errno == unix.ENOTDIR, errno == unix.ENAMETOOLONG: // a name over NAME_MAX
		w.finishMissing()
		return true
	case errno != 0:
		w.finish(events.StateUnknown)
		return true
	}
	switch kind := w.stat.Mode & unix.S_IFMT; {
	case kind == unix.S_IFLNK && w.view.noLinks:
		w.finish(events.StateSymlink)
		return true
	case kind == unix.S_IFLNK && (!last || w.follow):
		return w.followLink(parent, last)
	case last:
		w.out.info = infoOf(&w.stat)
		w.finish(stateOf(w.stat.Mode))
		return true
	case kind == unix.S_IFDIR:
		if w.view.prefix == "" {
			w.dirs.add(w.cur)
		}
		return false
	}
	w.finishMissing() // a file where a directory should be: ENOTDIR
	return true
}

// followLink replaces the link at cur by what it holds.
func (w *walk) followLink(parent int, last bool) bool {
	n, errno := readlinkat(unix.AT_FDCWD, w.kernelName(), w.link[:])
	if errno != 0 {
		w.finish(events.StateUnknown)
		return true
	}
	target := w.link[:n]
	if isMagic(w.belowRoot(w.cur[:parent]), w.cur[parent:]) {
		return w.jumpMagic(target, last)
	}
	return w.goOnAt(parent, target, last)
}

// goOnAt notes the link at cur and puts its target before what is left.
func (w *walk) goOnAt(parent int, target []byte, last bool) bool {
	w.note(target, last)
	if w.hops++; w.hops > maxLinks { // ELOOP: it leads nowhere
		if !w.atLink {
			w.out.path = w.text(w.cur)
		}
		w.out.state = events.StateAbsent
		return true
	}
	w.spare = append(append(append(w.spare[:0], target...), '/'), w.rest...)
	if len(onlySlashes(w.rest)) == 0 && !bytes.HasSuffix(target, []byte("/")) {
		w.spare = w.spare[:len(target)] // no slash that would ask for a directory
	}
	w.rest, w.spare = w.spare, w.rest
	if len(target) > 0 && target[0] == '/' {
		w.cur = setDir(w.cur, w.view.root)
	} else {
		w.cur = w.cur[:parent]
	}
	return false
}

func onlySlashes(path []byte) []byte { return bytes.Trim(path, "/") }

// note records that the link at cur is followed, and where the path led if the
// link was its end.
func (w *walk) note(target []byte, last bool) {
	if last && !w.atLink {
		w.out.path = string(w.cur)
		w.atLink = true
	}
	w.out.links = append(w.out.links, events.Link{Path: string(w.cur), Target: string(target)})
}

// isSelf tells whether cur is /proc/self or /proc/thread-self, which lead each
// reader to itself: fstrace must not read them for another.
func (w *walk) isSelf(parent int) bool {
	switch string(w.cur[parent:]) {
	case "/self", "/thread-self":
		return string(w.belowRoot(w.cur[:parent])) == "/proc"
	}
	return false
}

// belowRoot returns a canonical path as one from the thread's root.
func (w *walk) belowRoot(path []byte) []byte {
	if w.view.root == "/" {
		return path
	}
	return bytes.TrimPrefix(path, []byte(w.view.root))
}

func (w *walk) jumpSelf(parent int, last bool) bool {
	target := w.view.self()
	if w.cur[parent+1] == 't' {
		target = w.view.threadSelf()
	}
	if last && !w.follow {
		w.finish(events.StateSymlink)
		return true
	}
	return w.goOnAt(parent, []byte(target), last)
}

// isMagic tells whether a name in a directory is one of those links in /proc that
// lead to an open file or directory itself and only look as if they held a path:
// proc(5).
func isMagic(dir, name []byte) bool {
	dir, ok := bytes.CutPrefix(dir, []byte("/proc/"))
	if !ok {
		return false
	}
	dir, ok = cutNumber(dir)
	if !ok {
		return false
	}
	if task, ok := bytes.CutPrefix(dir, []byte("/task/")); ok {
		if dir, ok = cutNumber(task); !ok {
			return false
		}
	}
	switch string(dir) {
	case "":
		switch string(name) {
		case "/cwd", "/root", "/exe":
			return true
		}
	case "/fd", "/map_files", "/ns":
		return true
	}
	return false
}

func cutNumber(b []byte) (rest []byte, ok bool) {
	i := 0
	for i < len(b) && b[i] >= '0' && b[i] <= '9' {
		i++
	}
	return b[i:], i > 0
}

// jumpMagic goes straight to what a magic link stands for. Its text is that
// thing's name as fstrace sees it, not as a path from the thread's root.
func (w *walk) jumpMagic(text []byte, last bool) bool {
	name := w.kernelName()
	var st unix.Stat_t
	errno := fstatat(unix.AT_FDCWD, name, &st, 0)
	w.note(text, last)
	switch {
	case errno != 0:
		w.finish(events.StateUnknown)
		return true
	case text[0] != '/': // "pipe:[1]": no name to go on with
		w.out.info = infoOf(&st)
		w.finishAt("", stateOf(st.Mode))
		return true
	}
	w.gone = st.Nlink == 0 && bytes.HasSuffix(text, deletedSuffix)
	if w.gone {
		text = text[:len(text)-len(deletedSuffix)]
	}
	w.cur = setDir(w.cur, string(text))
	if last {
		w.out.info = infoOf(&st)
		w.finish(stateOf(st.Mode))
		return true
	}
	return false
}

// deletedSuffix is what the kernel appends to the text of a magic link to a
// removed file. A name may end so by itself: only a link count of 0 tells.
var deletedSuffix = []byte(" (deleted)")

// finishDir ends a walk that came to a directory already known to be one.
func (w *walk) finishDir() {
	w.finish(events.StateDir)
}

// finish ends the walk at cur.
func (w *walk) finish(s events.State) {
	path := "/"
	if len(w.cur) > 0 {
		path = w.text(w.cur)
	}
	w.finishAt(path, s)
}

// text makes a string of path: the one that the program gave, where it is the
// same, as it is for most paths.
func (w *walk) text(path []byte) string {
	if string(path) == w.out.as {
		return w.out.as
	}
	return string(path)
}

func (w *walk) finishAt(path string, s events.State) {
	if w.atLink {
		w.out.real = path
	} else {
		w.out.path = path
	}
	w.out.state = s
}

// finishAbsent ends the walk at a name in a directory that cannot have any.
func (w *walk) finishAbsent(name []byte) {
	w.cur = append(append(w.cur, '/'), name...)
	w.finishMissing()
}

// finishMissing ends the walk at cur, where nothing is: the rest of the path is
// kept behind it. Where the rest goes up again it is not: the kernel never got
// there, and nobody can say where it would have led.
func (w *walk) finishMissing() {
	n := len(w.cur)
	for {
		name, _ := w.next()
		if name == nil {
			break
		}
		if string(name) == ".." {
			w.cur = w.cur[:n]
			break
		}
		w.cur = append(append(w.cur, '/'), name...)
	}
	w.finish(events.StateAbsent)
}

// kernelName returns cur as an argument for the kernel, valid until the next call.
func (w *walk) kernelName() []byte {
	w.name = append(append(append(w.name[:0], w.view.prefix...), w.cur...), 0)
	return w.name
}

// lstat looks at cur.
func (w *walk) lstat() unix.Errno {
	name := w.kernelName()
	if len(name) > pathMax {
		return lstatLong(name[:len(name)-1], &w.stat)
	}
	return fstatat(unix.AT_FDCWD, name, &w.stat, unix.AT_SYMLINK_NOFOLLOW)
}

// lstatLong looks at an absolute path that is too long for one call, by opening
// directories on the way.
func lstatLong(path []byte, st *unix.Stat_t) unix.Errno {
	dir := unix.AT_FDCWD
	defer func() {
		if dir != unix.AT_FDCWD {
			unix.Close(dir)
		}
	}()
	for len(path) >= pathMax {
		cut := bytes.LastIndexByte(path[:pathMax-1], '/')
		fd, err := unix.Openat(dir, string(path[:cut]), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			errno, _ := err.(unix.Errno)
			return errno
		}
		if dir != unix.AT_FDCWD {
			unix.Close(dir)
		}
		dir, path = fd, path[cut+1:]
	}
	return fstatat(dir, append(bytes.Clone(path), 0), st, unix.AT_SYMLINK_NOFOLLOW)
}

// infoOf takes over what the encodings and sinks may want of a stat.
func infoOf(st *unix.Stat_t) events.FileInfo {
	return events.FileInfo{
		Dev: st.Dev, Ino: st.Ino, Mode: st.Mode, Size: st.Size,
		Mtime: st.Mtim.Nano(), Ctime: st.Ctim.Nano(),
	}
}

func stateOf(mode uint32) events.State {
	switch mode & unix.S_IFMT {
	case unix.S_IFREG:
		return events.StateFile
	case unix.S_IFDIR:
		return events.StateDir
	case unix.S_IFLNK:
		return events.StateSymlink
	}
	return events.StateOther
}
