package manifest

import (
	"cmp"

	"github.com/fstrace/fstrace/events"
	"golang.org/x/sys/unix"
)

// A writing is a file that the session has opened for writing.
type writing struct {
	info  events.FileInfo // before the first time
	names int             // of its names, those that are known, and not known to be removed
	// inherited: the command was started with it.
	inherited bool
	// shared: the command was started with it, open for writing only, and has not opened
	// it itself. appending: for appending.
	shared, appending bool
}

// A retelling is what a file was before the session changed its attributes, links or
// name.
type retelling struct {
	mode, uid, gid uint32
	attributes     bool   // it may have changed these
	times          bool   // it may have set these
	relinked       bool   // it may have changed how many names it has
	names          uint32 // how many of its names it may have made, removed or changed
	nlink          uint32 // how many names it had before the first of these
}

// noteInodes notes what a call does to files by whatever name they have.
func (f *fold) noteInodes(e *events.Event) {
	switch {
	case e.Op == events.OpCreate && e.To != "" && exists(e.State) && !exists(e.ToState),
		e.Op == events.OpDelete && removesDir(e) == (e.State == events.StateDir),
		e.Op == events.OpRename && exists(e.State) && !isSame(&e.Info, &e.ToInfo), e.Op == events.OpChattr:
	default: // what is there stays as it is
		return
	}
	for i, info := range []*events.FileInfo{&e.Info, &e.ToInfo} {
		delete(f.forgotten.isDead, inodeOf(info)) // another file has its inode number
		attributes := e.Op == events.OpChattr && info.Known()
		if info.Mode&unix.S_IFMT != unix.S_IFREG && info.Mode&unix.S_IFMT != unix.S_IFLNK && !attributes {
			continue
		}
		r, ok := f.retold[inodeOf(info)]
		f.earlier[i] = earlier{inodeOf(info), r}
		r.relinked = r.relinked || e.Op == events.OpCreate || e.Op == events.OpDelete || i == 1 && !hasFlag(e, "RENAME_EXCHANGE")
		if !ok || attributes && !r.attributes {
			r.mode, r.uid, r.gid, r.attributes = info.Mode, info.UID, info.GID, attributes
		}
		if !attributes {
			if r.names == 0 {
				r.nlink = info.Nlink
			}
			r.names++
		}
		r.times = r.times || attributes && setsTimes[e.Syscall]
		f.retold[inodeOf(info)] = r
	}
	removed := &e.Info
	switch {
	case e.Op == events.OpDelete:
		f.undress(removed)
	case e.Op == events.OpRename && !hasFlag(e, "RENAME_EXCHANGE"):
		removed = &e.ToInfo
		f.undress(removed)
	case e.Op == events.OpCreate && e.To != "": // a hard link
		if w := f.written[inodeOf(&e.Info)]; w != nil && e.Info.Known() {
			w.names++
		}
		return
	default:
		return
	}
	if w := f.written[inodeOf(removed)]; w != nil && removed.Known() {
		w.names--
	}
}

// An earlier is what a retelling was before the event that is taken in.
type earlier struct {
	inode
	retelling
}

// retoldBefore returns what the session had done to a file before the event that is taken
// in.
func (f *fold) retoldBefore(info *events.FileInfo) retelling {
	for i := range f.earlier {
		if info.Known() && f.earlier[i].inode == inodeOf(info) {
			return f.earlier[i].retelling
		}
	}
	return f.retold[inodeOf(info)]
}

// mounts notes a call after which paths may lead elsewhere, and nobody is able to tell
// where in the end. A process that may not mount fails, or has a namespace of its own, of
// which the tracer tells.
func (f *fold) mounts(e *events.Event) {
	switch e.Syscall {
	case "mount", "move_mount", "pivot_root":
	default:
		return
	}
	f.mounted = append(f.mounted, cmp.Or(e.To, subject(e)))
	if e.OtherNamespace {
		return
	}
	if f.fs.privileged() && exists(e.State) {
		f.gaps = append(f.gaps, events.Incomplete{
			Reason: events.ReasonMountNamespace, PID: e.PID, Detail: "it mounts something: " + subject(e),
		})
	}
}
