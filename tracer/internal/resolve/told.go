package resolve

import (
	"github.com/fstrace/fstrace/events"
	"golang.org/x/sys/unix"
)

// A Told is what a call was told that does not follow a symbolic link at the end of its path: what
// lstat says of it, or ENOENT.
type Told struct {
	Info   events.FileInfo
	Absent bool
}

// LookupTold is Resolve for a path of the host, without a look at what it leads to. Nothing of it is
// remembered: it may have been a while ago.
func (r *Resolver) LookupTold(v *View, base Base, path []byte, told *Told) Result {
	r.told = told
	found := r.Resolve(v, base, path, 0)
	r.told = nil
	return found
}

// lstat fills st with what was told.
func (t *Told) lstat(st *unix.Stat_t) unix.Errno {
	if t.Absent {
		return unix.ENOENT
	}
	i := &t.Info
	*st = unix.Stat_t{
		Dev: i.Dev, Ino: i.Ino, Mode: i.Mode, Uid: i.UID, Gid: i.GID, Size: i.Size,
		Mtim: unix.NsecToTimespec(i.Mtime), Ctim: unix.NsecToTimespec(i.Ctime),
	}
	setNumber(&st.Nlink, i.Nlink)
	return 0
}

// setNumber sets a number that has more bits on some machines than on others.
func setNumber[T uint32 | uint64](p *T, n uint32) { *p = T(n) }
