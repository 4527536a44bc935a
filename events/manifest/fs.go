package manifest

import (
	"errors"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/fstrace/fstrace/events"
	"golang.org/x/sys/unix"
)

// A fileSystem is what the recorder and the check look at. Tests have one of
// their own, with their own clock.
type fileSystem interface {
	lstat(path string) (events.FileInfo, error)
	identify(path string) (identity, error) // lstat, and the mount of a regular file
	readlink(path string) (string, error)
	readDir(path string) (dirList, error)
	open(path string) (file, error) // a regular file, without following a link
	// privileged reports whether a command may be allowed what we are not: for root that
	// depends on the file system. Other users' commands may do no more than they.
	privileged() bool
}

// A dirList is a directory, as it was before it was read, and the names in it as
// Entry.Names has them, unsorted.
type dirList struct {
	info     events.FileInfo
	names    []string
	changing bool // it was changed as it was read
}

type file interface {
	io.ReadCloser
	stat() (events.FileInfo, error)
}

// osFS is the machine's own.
type osFS struct{ mounts *mounts }

func newOSFS() osFS { return osFS{newMounts()} }

func (osFS) lstat(path string) (events.FileInfo, error) {
	var st unix.Stat_t
	if err := ignoringEINTR(func() error { return lstat(path, &st) }); err != nil {
		return events.FileInfo{}, err
	}
	return infoOf(&st), nil
}

func (osFS) readlink(path string) (string, error) {
	target, err := os.Readlink(path)
	return target, cause(err)
}

// open does not wait for a FIFO's other end, nor leave a trace in the access time
// where that is allowed: open(2), O_NOATIME.
func (osFS) open(path string) (file, error) {
	const flags = unix.O_RDONLY | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	var fd int
	try := func(extra int) error {
		return ignoringEINTR(func() (err error) {
			fd, err = unix.Open(path, flags|extra, 0)
			return err
		})
	}
	err := try(unix.O_NOATIME)
	if err == unix.EPERM { // not the owner
		err = try(0)
	}
	if err != nil {
		return nil, err
	}
	return osFile(fd), nil
}

func (osFS) privileged() bool { return unix.Geteuid() == 0 }

// An osFile is a descriptor: what os.File adds is of no use here.
type osFile int

func (f osFile) Read(b []byte) (n int, err error) {
	err = ignoringEINTR(func() (err error) {
		n, err = unix.Read(int(f), b)
		return err
	})
	if n <= 0 && err == nil {
		err = io.EOF
	}
	return max(n, 0), err
}

func (f osFile) Close() error { return unix.Close(int(f)) }

func (f osFile) stat() (events.FileInfo, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f), &st); err != nil {
		return events.FileInfo{}, err
	}
	return infoOf(&st), nil
}

func infoOf(st *unix.Stat_t) events.FileInfo {
	return events.FileInfo{
		Dev: st.Dev, Ino: st.Ino, Mode: st.Mode, UID: st.Uid, GID: st.Gid, Nlink: uint32(st.Nlink), Size: st.Size,
		Mtime: st.Mtim.Nano(), Ctime: st.Ctim.Nano(),
	}
}

func ignoringEINTR(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}

// cause takes off what os says of the operation and the path.
func cause(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// isAbsent reports whether an error says that nothing has that name. A path that runs in
// circles is one: each of its links is an input.
func isAbsent(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ENAMETOOLONG) || errors.Is(err, unix.ELOOP)
}

// stateOf returns the state that an lstat found.
func stateOf(info *events.FileInfo, err error) events.State {
	switch {
	case isAbsent(err):
		return events.StateAbsent
	case err != nil:
		return events.StateUnknown
	}
	switch info.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return events.StateFile
	case unix.S_IFDIR:
		return events.StateDir
	case unix.S_IFLNK:
		return events.StateSymlink
	}
	return events.StateOther
}

// permissions are the bits of a mode that a manifest has.
func permissions(mode uint32) uint32 { return mode & 0o7777 }

// isVolatile reports whether path is of no file that a cache could depend on: what the
// kernel makes up as it is read, and what has no name.
func isVolatile(path string) bool {
	return path == "" || path[0] != '/' ||
		isWithin(path, "/proc") || isWithin(path, "/sys") ||
		isWithin(path, "/dev") && !isWithin(path, "/dev/shm") // which is an ordinary tmpfs
}

// isNameless reports whether a file was opened with O_TMPFILE, which the kernel calls
// "#INODE": it is the session's own, until linkat(2) gives it a name.
func isNameless(path string, info *events.FileInfo) bool {
	number, ok := strings.CutPrefix(baseOf(path), "#")
	return ok && info.Known() && number == strconv.FormatUint(info.Ino, 10)
}

// isWithin reports whether path is dir or below it.
func isWithin(path, dir string) bool {
	return strings.HasPrefix(path, dir) && (len(path) == len(dir) || path[len(dir)] == '/' || dir == "/")
}

// parentOf returns the directory that path is in, "/" for itself.
func parentOf(path string) string {
	if i := strings.LastIndexByte(path, '/'); i > 0 {
		return path[:i]
	}
	return "/"
}

// baseOf returns the last component of path.
func baseOf(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

func join(dir, name string) string {
	if dir == "/" {
		return dir + name
	}
	return dir + "/" + name
}
