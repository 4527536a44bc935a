package tracer

import (
	"bytes"

	"github.com/fstrace/fstrace/events"
	"golang.org/x/sys/unix"
)

// Links in /proc that hold no path: proc(5). /proc/self leads each reader to
// itself; others lead to an open file or directory, whatever its name is now.

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
	if last && !w.follow || w.view.noLinks {
		w.finish(events.StateSymlink)
		return true
	}
	return w.goOnAt(parent, w.linkAt([]byte(target)), last)
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
	errno := errnoUnanswered
	if w.await(text) {
		errno = fstatat(unix.AT_FDCWD, name, &st, 0)
		w.hand.leave()
	}
	if errno != 0 {
		w.note(w.linkAt(text), last)
		w.finish(events.StateUnknown)
		return true
	}
	w.gone = st.Nlink == 0 && bytes.HasSuffix(text, deletedSuffix)
	nameless := text[0] != '/' || w.gone && isMemfd(text) // "pipe:[1]"
	if nameless && !last {
		w.finishMissing(stateOf(st.Mode)) // no directory
		return true
	}
	w.note(w.linkAt(text), last)
	if nameless {
		w.out.info = infoOf(&st)
		w.finishAt("", stateOf(st.Mode))
		return true
	}
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

// isMemfd tells whether a removed file's name is that of one that never had any:
// memfd_create(2).
func isMemfd(name []byte) bool { return bytes.HasPrefix(name, []byte("/memfd:")) }

// deletedSuffix is what the kernel appends to the text of a magic link to a
// removed file. A name may end so by itself: only a link count of 0 tells.
var deletedSuffix = []byte(" (deleted)")
