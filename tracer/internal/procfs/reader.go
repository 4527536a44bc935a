package procfs

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/tracer/internal/sys"
	"golang.org/x/sys/unix"
)

// A Reader reads what /proc says of a thread: proc(5). All by thread id, never by
// process id: the leader of a thread group may be gone, and threads can have
// directories of their own. It is for one goroutine.
type Reader struct {
	name []byte
	Link [unix.PathMax + 16]byte
	Stat unix.Stat_t
	Dirs FDDirs
	// Looker is called for lookups of files; nil for none.
	Looker Looker
	// Names may know other names of files; nil for none.
	Names *Names
}

// A Looker is called for lookups of files, which take as long as their file systems need.
type Looker interface {
	// EnterAt is called before a look at a canonical path, and Leave after it, if there
	// is one: not if EnterAt returns false, as the file system has failed to answer
	// before.
	EnterAt(path []byte) bool
	Leave()
}

// A Place is a directory where a relative path begins, or what a descriptor stands for.
type Place struct {
	Path string // canonical, as fstrace names it
	Gone bool   // it was removed: nothing but ".." can be found in it
	Lost *Loss  // why path is not its name; nil if it is
}

// A Loss is why a path is not a name of what a call accesses.
type Loss struct {
	Reason events.Reason
	Detail string
}

// ErrUnanswered says that a look-up was not made, as its file system does not answer.
var ErrUnanswered = errors.New("the file system does not answer")

// ErrNoFile says that a descriptor names no file: a pipe, a socket, an anonymous
// inode, or one that is not open.
var ErrNoFile = errors.New("descriptor names no file")

// EntryName forms "/proc/TID/what" with a NUL.
func (p *Reader) EntryName(tid int, what string) []byte {
	p.name = appendProcName(p.name[:0], tid, what)
	return p.name
}

// DescriptorName forms "/proc/TID/fd/N" with a NUL.
func (p *Reader) DescriptorName(tid, fd int) []byte {
	p.EntryName(tid, "fd/")
	p.name = strconv.AppendInt(p.name[:len(p.name)-1], int64(fd), 10)
	p.name = append(p.name, 0)
	return p.name
}

// Cwd returns a thread's working directory.
func (p *Reader) Cwd(tid int) (Place, error) { return p.follow(unix.AT_FDCWD, p.EntryName(tid, "cwd")) }

// Root returns a thread's root directory as fstrace names it.
func (p *Reader) Root(tid int) (Place, error) {
	return p.follow(unix.AT_FDCWD, p.EntryName(tid, "root"))
}

// Descriptor returns what a descriptor stands for.
func (p *Reader) Descriptor(tid, fd int) (Place, error) {
	if fd < 0 {
		return Place{}, ErrNoFile
	}
	if dir := p.Dirs.of(tid, p); dir >= 0 {
		p.name = append(strconv.AppendInt(p.name[:0], int64(fd), 10), 0)
		if n, errno := sys.Readlinkat(dir, p.name, p.Link[:]); errno == 0 {
			return p.at(dir, p.name, p.Link[:n])
		}
		p.Dirs.forget(tid) // the thread is another, perhaps
	}
	return p.follow(unix.AT_FDCWD, p.DescriptorName(tid, fd))
}

// follow reads the magic link at name, and whether what it stands for was
// removed: its text then ends in " (deleted)", but so may a name.
func (p *Reader) follow(dir int, name []byte) (Place, error) {
	n, errno := sys.Readlinkat(dir, name, p.Link[:])
	if errno != 0 {
		return Place{}, ProcError(errno, name)
	}
	return p.at(dir, name, p.Link[:n])
}

// at returns what the magic link at name stands for, by its text.
func (p *Reader) at(dir int, name, text []byte) (Place, error) {
	if len(text) == 0 || text[0] != '/' {
		return Place{}, ErrNoFile
	}
	if !bytes.HasSuffix(text, DeletedSuffix) {
		return Place{Path: string(text)}, nil
	}
	if !p.enter(bytes.TrimSuffix(text, DeletedSuffix)) {
		return Place{}, ErrUnanswered
	}
	errno := sys.Fstatat(dir, name, &p.Stat, 0)
	p.leave()
	if errno != 0 {
		return Place{}, ProcError(errno, name)
	}
	found := Place{Gone: p.Stat.Nlink == 0}
	found.Path, found.Lost = p.Names.Of(text, &p.Stat)
	return found, nil
}

func (p *Reader) enter(path []byte) bool { return p.Looker == nil || p.Looker.EnterAt(path) }

func (p *Reader) leave() {
	if p.Looker != nil {
		p.Looker.Leave()
	}
}

// Mode returns the file mode of what a descriptor, or AT_FDCWD, stands for, which is at
// path.
func (p *Reader) Mode(tid, fd int, path string) (uint32, error) {
	if !p.enter([]byte(path)) {
		return 0, ErrUnanswered
	}
	var name []byte
	if fd == unix.AT_FDCWD {
		name = p.EntryName(tid, "cwd")
	} else {
		name = p.DescriptorName(tid, fd)
	}
	errno := sys.Fstatat(unix.AT_FDCWD, name, &p.Stat, 0)
	p.leave()
	if errno != 0 {
		return 0, ProcError(errno, name)
	}
	return p.Stat.Mode, nil
}

// Namespace returns the inode number of a namespace of a thread: "mnt", "pid".
func (p *Reader) Namespace(tid int, kind string) (uint64, error) {
	name := p.EntryName(tid, "ns/"+kind)
	if errno := sys.Fstatat(unix.AT_FDCWD, name, &p.Stat, 0); errno != 0 {
		return 0, ProcError(errno, name)
	}
	return p.Stat.Ino, nil
}

// NamespaceOf returns the inode number of the mount namespace of a process, by its
// directory in a procfs.
func (p *Reader) NamespaceOf(proc string) (uint64, error) {
	name := []byte(proc + "/ns/mnt\x00")
	if errno := sys.Fstatat(unix.AT_FDCWD, name, &p.Stat, 0); errno != 0 {
		return 0, ProcError(errno, name)
	}
	return p.Stat.Ino, nil
}

func ProcError(errno unix.Errno, name []byte) error {
	switch errno {
	case unix.EACCES, unix.EPERM:
		return ErrOpaque
	case unix.ESRCH:
		return ErrCallerGone
	case unix.ENOENT:
		return ErrNoFile
	}
	return fmt.Errorf("read %s: %w", name[:len(name)-1], errno)
}

// IsMemfd reports whether a removed file's name is that of one that never had any:
// memfd_create(2).
func IsMemfd(name []byte) bool { return bytes.HasPrefix(name, []byte("/memfd:")) }

// DeletedSuffix is what the kernel appends to the text of a magic link to a
// removed file. A name may end so by itself: only a link count of 0 tells.
var DeletedSuffix = []byte(" (deleted)")
