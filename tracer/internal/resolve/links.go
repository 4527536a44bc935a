package resolve

import (
	"bytes"
	"strings"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/tracer/internal/procfs"
)

// maxLinks is how many symbolic links the kernel follows on one path:
// path_resolution(7).
const maxLinks = 40

// followLink replaces the link at cur by what it holds.
func (w *walk) followLink(parent int, last bool) bool {
	target, errno := w.readlink()
	if errno == errnoUnanswered {
		w.finishUnanswered()
		return true
	}
	if errno != 0 {
		w.finish(events.StateUnknown)
		return true
	}
	if w.isMagic(parent) {
		return w.jumpMagic(target, last)
	}
	link := w.linkAt(target)
	if w.onHost() && !w.out.viaMoved {
		w.recent.keepLink(link, procfs.Inode{Dev: w.stat.Dev, Ino: w.stat.Ino}, &w.dirs, w.Now)
	}
	return w.goOnAt(parent, link, last)
}

// goOnAt notes the link at cur and puts its target before what is left.
func (w *walk) goOnAt(parent int, link events.Link, last bool) bool {
	target := link.Target
	if w.hops++; w.hops > maxLinks { // ELOOP: it leads nowhere
		if w.atLink {
			w.out.State = events.StateAbsent
		} else {
			w.finishMissing(events.StateAbsent)
		}
		return true
	}
	w.note(link, last)
	w.spare = append(append(append(w.spare[:0], target...), '/'), w.rest...)
	if len(onlySlashes(w.rest)) == 0 && !strings.HasSuffix(target, "/") {
		w.spare = w.spare[:len(target)] // no slash that would ask for a directory
	}
	w.rest, w.spare = w.spare, w.rest
	if len(target) > 0 && target[0] == '/' {
		w.cur, w.anchor = setDir(w.cur, w.view.Root), w.view.anchor
	} else {
		w.cur = w.cur[:parent]
	}
	return false
}

func onlySlashes(path []byte) []byte { return bytes.Trim(path, "/") }

// linkAt returns the link at cur, by what it holds.
func (w *walk) linkAt(target []byte) events.Link {
	return events.Link{Path: w.hostPath(string(w.cur)), Target: string(target)}
}

// note records that the link at cur is followed, and where the path led if the
// link was its end.
func (w *walk) note(link events.Link, last bool) {
	if last && !w.atLink {
		w.out.Path = link.Path
		w.atLink = true
	}
	w.out.Links = append(w.out.Links, link)
}
