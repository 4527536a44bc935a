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

// A Reader reads /proc for a thread: proc(5). It always uses the tid, because the leader
// of the thread group may have ended, and threads can have their own working directories.
// It must be used by one goroutine.
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

// A Looker is called before and after lookups of files, which can take long.
type Looker interface {
	// EnterAt is called before the lookup of a canonical path, and Leave after it. If
	// EnterAt returns false, the lookup must not be made, because the file system has
	// failed to answer before.
	EnterAt(path []byte) bool
	Leave()
}

// A Place is a directory to which paths are relative, or what a descriptor refers to.
type Place struct {
	Path string // canonical, as fstrace names it
	Gone bool   // it was removed: nothing but ".." can be found in it
	Lost *Loss  // why path is not its name; nil if it is
}

// A Loss says why a path is not the name of what a call accesses.
type Loss struct {
	Reason events.Reason
	Detail string
}

// ErrUnanswered means that a lookup was not made because its file system does not answer.
var ErrUnanswered = errors.New("the file system does not answer")

// ErrNoFile means that a descriptor refers to no file with a name: it is a pipe, a socket
// or an anonymous inode, or it is not open.
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

// Root returns the root directory of a thread, as a path of fstrace's own mount
// namespace.
func (p *Reader) Root(tid int) (Place, error) {
	return p.follow(unix.AT_FDCWD, p.EntryName(tid, "root"))
}

// Descriptor returns what a descriptor refers to.
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

// follow reads the magic link at name and reports whether its target was removed. Then
// its text ends in " (deleted)"; but a name can end so too.
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
// removed file. A name may end so by itself: only a link count of 0 is proof.
var DeletedSuffix = []byte(" (deleted)")
