package resolve

import (
	"bytes"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/tracer/internal/sys"
	"golang.org/x/sys/unix"
)

// errnoUnanswered is errUnanswered for those who return a number. The kernel has no such.
const errnoUnanswered = unix.Errno(0xffff)

// knownLink returns the symbolic link at cur, if it is to be followed and was read a
// moment ago.
func (w *walk) knownLink(last bool) (link events.Link, ok bool) {
	if !w.onHost() || w.view.NoLinks || last && !w.follow {
		return events.Link{}, false
	}
	return w.recent.link(w.cur, w.Now)
}

// finishKnown ends the walk at cur, if what is there was found a moment ago. What a call
// is about to make or remove is looked at again.
func (w *walk) finishKnown() bool {
	if !w.onHost() || w.entry || w.NoCache {
		return false
	}
	f, ok := w.recent.file(w.cur, w.Now)
	if ok {
		w.out.Info = f.info
		w.finishAt(f.path, f.state)
	}
	return ok
}

// lstat looks at cur.
func (w *walk) lstat(last bool) unix.Errno {
	if (!last || w.unmounts) && w.isServedRoot() {
		w.Enter()
		errno := lstatCached(string(sys.TrimNUL(w.kernelName())), &w.stat)
		w.Leave()
		return errno
	}
	if !w.await(w.cur) {
		return errnoUnanswered
	}
	dir, name, errno := withinLimit(w.kernelName())
	if errno == 0 {
		errno = sys.Fstatat(dir, name, &w.stat, unix.AT_SYMLINK_NOFOLLOW)
		closeDir(dir)
	}
	w.Leave()
	return errno
}

// isServedRoot reports whether a file system is mounted at cur that must not be waited
// for.
func (w *walk) isServedRoot() bool {
	s := w.avoid
	if w.anchor.space != nil {
		s = w.anchor.space.served
	}
	m := s.Of(w.cur)
	return m != nil && len(m.point) == len(w.cur)
}

// lstatCached is lstat by what the kernel knows without asking a server: statx(2).
func lstatCached(name string, st *unix.Stat_t) unix.Errno {
	var x unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, name, unix.AT_SYMLINK_NOFOLLOW|unix.AT_STATX_DONT_SYNC, unix.STATX_BASIC_STATS, &x)
	if err != nil {
		return err.(unix.Errno)
	}
	*st = unix.Stat_t{
		Dev: unix.Mkdev(x.Dev_major, x.Dev_minor), Ino: x.Ino, Mode: uint32(x.Mode), Size: int64(x.Size),
		Mtim: unix.NsecToTimespec(x.Mtime.Sec*1e9 + int64(x.Mtime.Nsec)), Ctim: unix.NsecToTimespec(x.Ctime.Sec*1e9 + int64(x.Ctime.Nsec)),
	}
	return 0
}

// readlink reads the symbolic link at cur into w.link.
func (w *walk) readlink() (target []byte, errno unix.Errno) {
	if !w.await(w.cur) {
		return nil, errnoUnanswered
	}
	dir, name, errno := withinLimit(w.kernelName())
	n := 0
	if errno == 0 {
		n, errno = sys.Readlinkat(dir, name, w.link[:])
		closeDir(dir)
	}
	w.Leave()
	return w.link[:n], errno
}

// await must be called before a look at path, and reports whether there may be one.
// Leave ends it.
func (w *walk) await(path []byte) bool {
	if !w.onHost() {
		if w.anchor.space == nil || w.anchor.space.served == nil {
			w.Enter()
			return true
		}
		return w.enterAt(w.anchor.space.served, path)
	}
	return w.EnterAt(path)
}

// withinLimit makes an absolute path, with its NUL, fit for the kernel: one that is too
// long becomes relative to a directory opened on the way, which is to be given to
// closeDir.
func withinLimit(path []byte) (dir int, rest []byte, errno unix.Errno) {
	dir = unix.AT_FDCWD
	for len(path) > unix.PathMax {
		cut := bytes.LastIndexByte(path[:unix.PathMax], '/')
		if cut <= 0 { // no name is that long
			closeDir(dir)
			return dir, nil, unix.ENAMETOOLONG
		}
		fd, err := unix.Openat(dir, string(path[:cut]), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		closeDir(dir)
		if err != nil {
			errno, _ := err.(unix.Errno)
			return unix.AT_FDCWD, nil, errno
		}
		dir, path = fd, path[cut+1:]
	}
	return dir, path, 0
}

// closeDir closes what withinLimit has opened, if it has.
func closeDir(dir int) {
	if dir != unix.AT_FDCWD {
		unix.Close(dir)
	}
}

// InfoOf takes over what the encodings and sinks may want of a stat.
func InfoOf(st *unix.Stat_t) events.FileInfo {
	return events.FileInfo{
		Dev: st.Dev, Ino: st.Ino, Mode: st.Mode, UID: st.Uid, GID: st.Gid, Nlink: uint32(st.Nlink), Size: st.Size,
		Mtime: st.Mtim.Nano(), Ctime: st.Ctim.Nano(),
	}
}

func StateOf(mode uint32) events.State {
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
