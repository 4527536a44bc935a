package procfs

import (
	"bytes"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/tracer/internal/sys"
	"golang.org/x/sys/unix"
)

// Names are the names that the session gives to files beside those that they have. The
// kernel knows an open file by the name that it was opened by, and when that is removed
// it says "/dir/name (deleted)", though the file may have others.
type Names map[Inode]string

// An Inode is a file, whatever its names.
type Inode struct{ Dev, Ino uint64 }

// InodeOf returns the inode that info is of.
func InodeOf(info *events.FileInfo) Inode { return Inode{info.Dev, info.Ino} }

// maxLinked bounds the memory of Names.
const maxLinked = 1 << 12

// Linking is called for a call that may give a file another name.
func (l *Names) Linking(op events.Op, info *events.FileInfo, name string) {
	if !info.Known() || op != events.OpCreate && op != events.OpRename {
		return
	}
	file := InodeOf(info)
	if _, ok := (*l)[file]; op == events.OpRename && !ok {
		return // it is opened by the name that it has
	}
	if *l == nil || len(*l) >= maxLinked {
		*l = make(Names)
	}
	(*l)[file] = name
}

// Of returns the path of what a magic link leads to, by its text; st is what is there.
// What is removed has the path that it had.
func (l *Names) Of(text []byte, st *unix.Stat_t) (path string, lost *Loss) {
	name, ok := bytes.CutSuffix(text, DeletedSuffix)
	if !ok {
		return string(text), nil
	}
	if st.Nlink == 0 {
		return string(name), nil
	}
	if IsAt(string(text), st) { // it is called so
		return string(text), nil
	}
	if l != nil {
		if other, ok := (*l)[Inode{st.Dev, st.Ino}]; ok && IsAt(other, st) {
			return other, nil
		}
	}
	return string(name), &Loss{events.ReasonUnresolvedPath, string(name) + " was removed, and the file has other names, which are not known"}
}

// IsAt reports whether what st is of is at a path of the host's.
func IsAt(path string, st *unix.Stat_t) bool {
	var there unix.Stat_t
	errno := sys.Fstatat(unix.AT_FDCWD, append([]byte(path), 0), &there, unix.AT_SYMLINK_NOFOLLOW)
	return errno == 0 && there.Dev == st.Dev && there.Ino == st.Ino
}
