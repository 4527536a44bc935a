package resolve

import (
	"bytes"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/tracer/internal/procfs"
	"github.com/fstrace/fstrace/tracer/internal/sys"
	"golang.org/x/sys/unix"
)

// Links in /proc that hold no path: proc(5). /proc/self leads each reader to
// itself; others lead to an open file or directory, whatever its name is now.

// isSelf reports whether cur is /proc/self or /proc/thread-self, which lead each
// reader to itself: fstrace must not read them for another.
func (w *walk) isSelf(parent int) bool {
	switch string(w.cur[parent:]) {
	case "/self", "/thread-self":
		return w.isProc(parent)
	}
	return false
}

// isProc reports whether cur, up to its end, is where a procfs is mounted.
func (w *walk) isProc(end int) bool {
	if string(w.belowRoot(w.cur[:end])) == "/proc" {
		return true
	}
	const rootInode = 1 // PROC_ROOT_INO
	whole := w.cur
	w.cur = w.cur[:end]
	defer func() { w.cur = whole }()
	if end == 0 || !w.await(w.cur) {
		return false
	}
	var fs unix.Statfs_t
	var st unix.Stat_t
	name := w.kernelName()
	is := unix.Statfs(string(sys.TrimNUL(name)), &fs) == nil && fs.Type == unix.PROC_SUPER_MAGIC &&
		sys.Fstatat(unix.AT_FDCWD, name, &st, 0) == 0 && st.Ino == rootInode
	w.Leave()
	return is
}

// belowRoot returns a canonical path as one from the thread's root.
func (w *walk) belowRoot(path []byte) []byte {
	if w.view.Root == "/" {
		return path
	}
	return bytes.TrimPrefix(path, []byte(w.view.Root))
}

func (w *walk) jumpSelf(parent int, last bool) bool {
	target := w.view.self()
	if w.cur[parent+1] == 't' {
		target = w.view.threadSelf()
	}
	if last && !w.follow || w.view.NoLinks {
		w.finish(events.StateSymlink)
		return true
	}
	return w.goOnAt(parent, w.linkAt([]byte(target)), last)
}

// isMagic reports whether cur is one of those links in /proc that lead to an open file or
// directory itself and only look as if they held a path: proc(5).
func (w *walk) isMagic(parent int) bool {
	dir, ok := cutMagic(w.cur[:parent], w.cur[parent:])
	return ok && w.isProc(len(dir))
}

// cutMagic cuts off a directory what makes a name in it such a link, in /proc.
func cutMagic(dir, name []byte) (rest []byte, ok bool) {
	switch string(name) {
	case "/cwd", "/root", "/exe":
	default:
		found := false
		for _, in := range []string{"/fd", "/map_files", "/ns"} {
			if dir, found = bytes.CutSuffix(dir, []byte(in)); found {
				break
			}
		}
		if !found {
			return nil, false
		}
	}
	if dir, ok = cutNumber(dir); !ok {
		return nil, false
	}
	if process, ok := bytes.CutSuffix(dir, []byte("/task")); ok {
		return cutNumber(process)
	}
	return dir, true
}

// cutNumber cuts off a last component that is a number.
func cutNumber(dir []byte) (rest []byte, ok bool) {
	i := len(dir)
	for i > 0 && dir[i-1] >= '0' && dir[i-1] <= '9' {
		i--
	}
	if i == 0 || i == len(dir) || dir[i-1] != '/' {
		return nil, false
	}
	return dir[:i-1], true
}

// jumpMagic goes straight to what a magic link stands for. Its text is that
// thing's name as fstrace sees it, not as a path from the thread's root.
func (w *walk) jumpMagic(text []byte, last bool) bool {
	name := w.kernelName()
	var st unix.Stat_t
	errno := errnoUnanswered
	if w.await(text) {
		errno = sys.Fstatat(unix.AT_FDCWD, name, &st, 0)
		w.Leave()
	}
	if errno != 0 {
		w.note(w.linkAt(text), last)
		w.finish(events.StateUnknown)
		return true
	}
	w.gone = st.Nlink == 0 && bytes.HasSuffix(text, procfs.DeletedSuffix)
	nameless := text[0] != '/' || w.gone && procfs.IsMemfd(text) // "pipe:[1]"
	if nameless && !last {
		w.finishMissing(StateOf(st.Mode)) // no directory
		return true
	}
	w.note(w.linkAt(text), last)
	link := ""
	if last || w.procfs != nil && !w.gone {
		link = string(sys.TrimNUL(w.kernelName()))
	}
	if nameless {
		w.out.Info, w.out.file = InfoOf(&st), link
		w.finishAt("", StateOf(st.Mode))
		return true
	}
	path, lost := w.linked.Of(text, &st)
	if w.out.Lost == nil {
		w.out.Lost = lost
	}
	w.anchor = anchor{}
	if w.procfs != nil && !w.gone {
		if a := w.jump(link, path, &st, w.view); a != nil {
			w.anchor = *a
		}
	}
	w.cur = setDir(w.cur, path)
	if last {
		w.out.Info = InfoOf(&st)
		w.finish(StateOf(st.Mode))
		if (w.gone || !w.onHost()) && w.out.State != events.StateDir {
			w.out.file = link // it opens what it leads to, whatever that is called
		}
		return true
	}
	return false
}
