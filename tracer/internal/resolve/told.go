package resolve

import (
	"bytes"

	"github.com/fstrace/fstrace/events"
	"golang.org/x/sys/unix"
)

// A Told is what a call was told that does not follow a symbolic link at the end of its
// path: what lstat says of it, or ENOENT.
type Told struct {
	Info   events.FileInfo
	Absent bool
}

// LookupTold is Resolve for a path of the host, without a look at what it leads to.
// Nothing of it is remembered: it may have been a while ago.
func (r *Resolver) LookupTold(v *View, base Base, path []byte, told *Told) Result {
	if found, ok := r.toldInKnown(v, base, path, told); ok {
		return found
	}
	r.told = told
	found := r.Resolve(v, base, path, 0)
	r.told = nil
	return found
}

// toldInKnown is LookupTold for a name in a directory that is known to be one, which most
// are: the path is canonical then.
func (r *Resolver) toldInKnown(v *View, base Base, path []byte, told *Told) (found Result, ok bool) {
	cut := bytes.LastIndexByte(path, '/')
	switch string(path[cut+1:]) {
	case "", ".", "..", "self", "thread-self": // a directory, or a magic link
		return found, false
	}
	if v.Root != "/" || v.anchor.name != "" || v.NoLinks || base.Gone || base.anchor != nil {
		return found, false
	}
	r.cur = r.cur[:0]
	if path[0] != '/' {
		r.cur = setDir(r.cur, base.Path)
		if cut >= 0 {
			r.cur = append(r.cur, '/')
		}
	}
	r.cur = append(r.cur, path[:max(cut, 0)]...)
	if cut > 0 && (!r.dirs.has(r.cur) || len(r.dirs.movedPaths) > 0 && r.dirs.underMoved(string(r.cur))) {
		return found, false
	}
	r.cur = append(append(r.cur, '/'), path[cut+1:]...)
	found = Result{Set: true, Path: string(r.cur), State: events.StateAbsent}
	found.As = found.Path[len(found.Path)-len(path):]
	if !told.Absent {
		found.State, found.Info = StateOf(told.Info.Mode), told.Info
	}
	return found, true
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
