package tracer

import (
	"bytes"

	"github.com/fstrace/fstrace/events"
	"golang.org/x/sys/unix"
)

// A linked remembers the names that the session gives to files beside those that they have.
// The kernel knows an open file by the name that it was opened by, and when that is removed
// it says "/dir/name (deleted)", though the file may have others.
type linked map[inode]string

// An inode is a file, whatever its names.
type inode struct{ dev, ino uint64 }

func infoInode(info *events.FileInfo) inode { return inode{info.Dev, info.Ino} }

// maxLinked bounds the memory of linked.
const maxLinked = 1 << 12

// changing is told of a call that may give a file a name.
func (l *linked) changing(a *access) {
	if !a.second.set || !a.first.info.Known() || a.op != events.OpCreate && a.op != events.OpRename {
		return
	}
	file := infoInode(&a.first.info)
	if _, ok := (*l)[file]; a.op == events.OpRename && !ok {
		return // it is opened by the name that it has
	}
	if *l == nil || len(*l) >= maxLinked {
		*l = make(linked)
	}
	(*l)[file] = a.second.path
}

// nameOf returns the path of what a magic link leads to, by its text; st is what is there.
// What is removed has the path that it had.
func (b *beliefs) nameOf(text []byte, st *unix.Stat_t) (path string, lost *loss) {
	name, ok := bytes.CutSuffix(text, deletedSuffix)
	if !ok {
		return string(text), nil
	}
	if st.Nlink == 0 {
		return string(name), nil
	}
	if isAt(string(text), st) { // it is called so
		return string(text), nil
	}
	if b != nil {
		if other, ok := b.linked[inode{st.Dev, st.Ino}]; ok && isAt(other, st) {
			return other, nil
		}
	}
	return string(name), &loss{events.ReasonUnresolvedPath, string(name) + " was removed, and the file has other names, which are not known"}
}
