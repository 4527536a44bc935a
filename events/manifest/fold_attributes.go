package manifest

import (
	"github.com/fstrace/fstrace/events"
	"golang.org/x/sys/unix"
)

// Whether chmod or chown succeeded is not known, but what they are to set is. So what a
// file has is what it had before the call, and then nothing else has changed it either,
// or what the call was to set. Anything else is somebody else's doing.

// A dressing is the attributes of a file that the session has set, by whatever name.
type dressing struct {
	was   attributes // when an access last came to the file
	ctime int64      // then
	asked attributes // by a call since then
	tid   int        // of that call, as long as it may not be over; 0 for none
	// free: what they may be is not known: two calls at once, or an ACL.
	free bool
}

// attributes are permission bits and owner. Writing to a file or giving it to another
// user takes the bits setuid and setgid from it: they do not count.
type attributes struct {
	mode     uint32
	uid, gid uint32
}

const comparedBits = 0o1777

func attributesOf(info *events.FileInfo) attributes {
	return attributes{info.Mode & comparedBits, info.UID, info.GID}
}

// dress notes that e is to set attributes of the file that info is of.
func (f *fold) dress(e *events.Event, info *events.FileInfo) {
	if !info.Known() || setsTimes[e.Syscall] {
		return
	}
	d, ok := f.dressed[inodeOf(info)]
	if !e.Sets.HasMode && !e.Sets.HasOwner { // setxattr, say
		if ok {
			d.free = true
			f.dressed[inodeOf(info)] = d
		}
		return
	}
	d.free = d.free || ok && d.tid != 0 && d.tid != e.TID
	d.was, d.ctime, d.tid = attributesOf(info), info.Ctime, e.TID
	d.asked = d.was
	if e.Sets.HasMode {
		d.asked.mode = e.Sets.Mode & comparedBits
	}
	const asIs = ^uint32(0)
	if e.Sets.HasOwner && e.Sets.UID != asIs {
		d.asked.uid = e.Sets.UID
	}
	if e.Sets.HasOwner && e.Sets.GID != asIs {
		d.asked.gid = e.Sets.GID
	}
	f.dressed[inodeOf(info)] = d
}

// undress forgets the attributes of a file that may be gone: the next file gets its inode
// number.
func (f *fold) undress(info *events.FileInfo) {
	if info.Known() && (info.Nlink <= 1 || info.Mode&unix.S_IFMT == unix.S_IFDIR) {
		delete(f.dressed, inodeOf(info))
	}
}

// isDressed compares what an access of thread tid finds at n with what the session has
// set.
func (f *fold) isDressed(n *node, tid int, info *events.FileInfo) bool {
	if len(f.dressed) == 0 || !info.Known() || len(f.mounted) > 0 {
		return true
	}
	d, ok := f.dressed[inodeOf(info)]
	if !ok || d.free {
		return true
	}
	is := attributesOf(info)
	if !f.explains(n, &d, is, info) {
		d.free = true // once is enough
		f.dressed[inodeOf(info)] = d
		return d.hasOtherRules(n.path())
	}
	if is == d.asked || tid == d.tid {
		d.was, d.asked, d.ctime, d.tid = is, is, info.Ctime, 0
		f.dressed[inodeOf(info)] = d
	}
	return true
}

// explains reports whether d leads to what is found.
func (f *fold) explains(n *node, d *dressing, is attributes, info *events.FileInfo) bool {
	switch {
	case is == d.asked:
		return true
	case is != d.was:
		return false
	case info.Ctime == d.ctime:
		return true
	}
	// The call has failed, and yet the file was changed: by the session?
	if n.from == nil || n.status != found || f.written[inodeOf(info)] != nil {
		return true
	}
	own := f.retold[inodeOf(info)]
	_, stirred := f.stirred[n.from]
	return own.names > 0 || own.times || stirred
}

// hasOtherRules reports whether path is on a file system that may not have the attributes
// that are set, as FAT.
func (*dressing) hasOtherRules(path string) bool {
	var fs unix.Statfs_t
	err := ignoringEINTR(func() error { return unix.Statfs(path, &fs) })
	return err == nil && !localFileSystems[int64(fs.Type)]
}
