package resolve

import (
	"fmt"
	"time"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/tracer/internal/procfs"
	"github.com/fstrace/fstrace/tracer/internal/sys"
	"golang.org/x/sys/unix"
)

// A World is what the resolvers of a session share: the caches and the mounts. It must be
// used by one goroutine at a time.
type World struct {
	dirs   dirCache
	recent recentCache
	known  knownCache
	linked procfs.Names

	served  Served
	spaces  spaces
	mountNS uint64 // fstrace's own mount namespace
	// inSession reports whether a thread is of the session; nil for none.
	inSession func(tid int) bool
	// RootsVary is set by the first call after which a thread may have another root
	// directory or other mounts than fstrace. From then on those of each thread are
	// looked up.
	RootsVary bool
	mounting  bool // a call was seen that makes mounts
	Moves     uint // how often directories were removed, renamed or mounted upon
}

// NewWorld returns the world of a session. It adds the mounts that the session serves
// itself to paths.
func NewWorld(inSession func(tid int) bool, paths *ServedPaths) (*World, error) {
	var p procfs.Reader
	ns, err := p.Namespace(unix.Getpid(), "mnt")
	if err != nil {
		return nil, fmt.Errorf("look up own mount namespace: %w", err)
	}
	return &World{inSession: inSession, mountNS: ns, served: Served{file: -1, paths: paths}}, nil
}

// ForSession returns a resolver for the callers of a session.
func ForSession(w *World, hand Hand, p *procfs.Reader) *Resolver {
	r := &Resolver{World: w, hand: hand, procfs: p}
	p.Looker, p.Names = r, &w.linked
	return r
}

// ForHost returns a resolver that shares nothing, for paths of the host.
func ForHost() *Resolver { return &Resolver{World: &World{served: Served{file: -1}}} }

// Close closes all open descriptors. The world can be used again.
func (w *World) Close() { w.served.close() }

// Answers must be called when a mount answers after its lookup was abandoned.
func (w *World) Answers() { w.served.update() }

// Begin begins with a call of a thread. If the call unmounts no server is asked.
func (r *Resolver) Begin(now time.Time, tid int, unmounts bool) {
	r.Now, r.busy, r.unmounts = now, false, unmounts
	if len(r.spaces.changing) > 0 {
		r.spaces.calling(tid, r.inSession)
	}
	if r.mounting {
		if r.served.refresh() {
			r.spaces.changes++
		}
		r.avoid = &r.served
	}
}

// From returns the directory to which paths are relative that a call resolves from a
// descriptor of a thread, or from AT_FDCWD, which is p.
func (r *Resolver) From(p procfs.Place, tid, fd int, v *View) Base {
	base := Base{Place: p}
	if r.spaces.foreign {
		name := r.procfs.EntryName(tid, "cwd")
		if fd != unix.AT_FDCWD {
			name = r.procfs.DescriptorName(tid, fd)
		}
		base.anchor = r.anchorOf(string(sys.TrimNUL(name)), p.Path, v)
	}
	return base
}

// Known returns the name of what a descriptor stands for. It reports whether the state is
// known as well, from a moment ago.
func (r *Resolver) Known(p *Base) (out Result, ok bool) {
	out = Result{Set: true, Path: p.Path, Lost: p.Lost}
	if p.anchor != nil {
		out.Path, out.Lost = p.anchor.space.hostPath(p.Path)
	}
	found, ok := r.recent.at(p.Place, r.Now)
	if !ok || r.RootsVary || r.NoCache {
		return out, false
	}
	out.Path, out.State, out.Info = found.path, found.state, found.info
	return out, true
}

// StaysAt reports whether what is at a path may be cached: the session does not remove,
// rename or mount on a directory of the path.
func (r *Resolver) StaysAt(path string) bool {
	return !r.dirs.off && (len(r.dirs.movedPaths) == 0 || !r.dirs.underMoved(path))
}

// Foresee updates the caches before an operation that changes what paths lead to.
func (r *Resolver) Foresee(op events.Op, first, second *Result) {
	switch op {
	case events.OpWrite, events.OpCreate, events.OpDelete, events.OpRename, events.OpChattr:
		r.known.forget()
		r.recent.changing(op, first)
		r.recent.changing(op, second)
	}
	if second.Set {
		r.linked.Linking(op, &first.Info, second.Path)
	}
	switch op {
	case events.OpDelete:
		if first.State == events.StateDir {
			r.dirs.removing(first.Path, procfs.InodeOf(&first.Info))
			r.moved()
		}
	case events.OpRename:
		if first.State == events.StateDir || second.State == events.StateDir {
			r.dirs.moving(first.Path, procfs.InodeOf(&first.Info))
			r.dirs.moving(second.Path, procfs.InodeOf(&second.Info))
			r.moved()
		}
	}
}

// ForeseeRoot prepares for a call that gives threads another root directory or other
// mounts. joined means that these may be of a namespace that the session has not made.
func (r *Resolver) ForeseeRoot(joined bool) {
	r.RootsVary = true
	r.spaces.joined = r.spaces.joined || joined
}

// ForeseeMount prepares for a call of a thread that changes mounts. elsewhere means that
// fstrace does not see them, unmountsProc that the call unmounts /proc: then no
// descriptor below it may stay open.
func (r *Resolver) ForeseeMount(tid int, elsewhere, unmountsProc bool) {
	r.RootsVary = true
	r.spaces.mounting(tid)
	if elsewhere {
		return
	}
	r.mounting = true
	r.served.begin(unmountsProc)
	r.dirs.disable()
	r.procfs.Dirs.Close()
	r.moved()
}

// moved is called before directories are moved, with everything in them.
func (w *World) moved() {
	w.Moves++
	w.recent.forget()
	w.known.forget()
}

// Slow is called when the walk in progress takes long, or is abandoned. It returns the
// mount if lookups on it need a timeout from now on.
func (r *Resolver) Slow(givenUp bool) *ServedMount {
	if !r.busy {
		return nil
	}
	m := r.served.learn(r.cur, givenUp)
	if m != nil {
		r.mounting = true
	}
	return m
}

// Interrupted returns the result of the walk in progress as far as it is known.
func (r *Resolver) Interrupted() (at Result, ok bool) {
	if !r.busy {
		return at, false
	}
	return Result{Set: true, Path: string(appendRest(r.cur, r.rest)), State: events.StateUnknown}, true
}

// Distrust disables the caches: a call was continued whose effects on paths are not
// known.
func (r *Resolver) Distrust() {
	r.RootsVary = true
	r.dirs.disable()
	r.recent = recentCache{off: true}
	r.known.forget()
}
