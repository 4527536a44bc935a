package tracer

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"

	"github.com/fstrace/fstrace/tracer/internal/sys"
	"golang.org/x/sys/unix"
)

// A procfs reads what /proc says of a thread: proc(5). All by thread id, never by
// process id: the leader of a thread group may be gone, and threads can have
// directories of their own. It is for one goroutine.
type procfs struct {
	name []byte
	link [pathMax + 16]byte
	stat unix.Stat_t
	dirs fdDirs
	hand *hand // that waits for the kernel; nil for none to tell
	// served are the mounts that must not be waited for; nil for none.
	served *served
	// beliefs may know other names of files; nil for none.
	beliefs *beliefs
}

// errNoFile says that a descriptor names no file: a pipe, a socket, an anonymous
// inode, or one that is not open.
var errNoFile = errors.New("descriptor names no file")

// entry forms "/proc/TID/what" with a NUL.
func (p *procfs) entry(tid int, what string) []byte {
	p.name = appendProcName(p.name[:0], tid, what)
	return p.name
}

// descriptor forms "/proc/TID/fd/N" with a NUL.
func (p *procfs) descriptor(tid, fd int) []byte {
	p.entry(tid, "fd/")
	p.name = strconv.AppendInt(p.name[:len(p.name)-1], int64(fd), 10)
	p.name = append(p.name, 0)
	return p.name
}

// cwd returns a thread's working directory.
func (p *procfs) cwd(tid int) (place, error) { return p.follow(unix.AT_FDCWD, p.entry(tid, "cwd")) }

// root returns a thread's root directory as fstrace names it.
func (p *procfs) root(tid int) (place, error) {
	return p.follow(unix.AT_FDCWD, p.entry(tid, "root"))
}

// fd returns what a descriptor stands for.
func (p *procfs) fd(tid, fd int) (place, error) {
	if fd < 0 {
		return place{}, errNoFile
	}
	if dir := p.dirs.of(tid, p); dir >= 0 {
		p.name = append(strconv.AppendInt(p.name[:0], int64(fd), 10), 0)
		if n, errno := sys.Readlinkat(dir, p.name, p.link[:]); errno == 0 {
			return p.at(dir, p.name, p.link[:n])
		}
		p.dirs.forget(tid) // the thread is another, perhaps
	}
	return p.follow(unix.AT_FDCWD, p.descriptor(tid, fd))
}

// follow reads the magic link at name, and whether what it stands for was
// removed: its text then ends in " (deleted)", but so may a name.
func (p *procfs) follow(dir int, name []byte) (place, error) {
	n, errno := sys.Readlinkat(dir, name, p.link[:])
	if errno != 0 {
		return place{}, procError(errno, name)
	}
	return p.at(dir, name, p.link[:n])
}

// at returns what the magic link at name stands for, by its text.
func (p *procfs) at(dir int, name, text []byte) (place, error) {
	if len(text) == 0 || text[0] != '/' {
		return place{}, errNoFile
	}
	if !bytes.HasSuffix(text, deletedSuffix) {
		return place{path: string(text)}, nil
	}
	if !p.hand.enterAt(p.served, bytes.TrimSuffix(text, deletedSuffix)) {
		return place{}, errUnanswered
	}
	errno := sys.Fstatat(dir, name, &p.stat, 0)
	p.hand.leave()
	if errno != 0 {
		return place{}, procError(errno, name)
	}
	found := place{gone: p.stat.Nlink == 0}
	found.path, found.lost = p.beliefs.nameOf(text, &p.stat)
	return found, nil
}

// mode returns the file mode of what a descriptor, or AT_FDCWD, stands for, which is at
// path.
func (p *procfs) mode(tid, fd int, path string) (uint32, error) {
	if !p.hand.enterAt(p.served, []byte(path)) {
		return 0, errUnanswered
	}
	var name []byte
	if fd == unix.AT_FDCWD {
		name = p.entry(tid, "cwd")
	} else {
		name = p.descriptor(tid, fd)
	}
	errno := sys.Fstatat(unix.AT_FDCWD, name, &p.stat, 0)
	p.hand.leave()
	if errno != 0 {
		return 0, procError(errno, name)
	}
	return p.stat.Mode, nil
}

// inode returns the inode number of a namespace of a thread: "mnt", "pid".
func (p *procfs) namespace(tid int, kind string) (uint64, error) {
	name := p.entry(tid, "ns/"+kind)
	if errno := sys.Fstatat(unix.AT_FDCWD, name, &p.stat, 0); errno != 0 {
		return 0, procError(errno, name)
	}
	return p.stat.Ino, nil
}

// namespaceOf returns the inode number of the mount namespace of a process, by its
// directory in a procfs.
func (p *procfs) namespaceOf(proc string) (uint64, error) {
	name := []byte(proc + "/ns/mnt\x00")
	if errno := sys.Fstatat(unix.AT_FDCWD, name, &p.stat, 0); errno != 0 {
		return 0, procError(errno, name)
	}
	return p.stat.Ino, nil
}

func procError(errno unix.Errno, name []byte) error {
	switch errno {
	case unix.EACCES, unix.EPERM:
		return errOpaque
	case unix.ESRCH:
		return errCallerGone
	case unix.ENOENT:
		return errNoFile
	}
	return fmt.Errorf("read %s: %w", name[:len(name)-1], errno)
}
