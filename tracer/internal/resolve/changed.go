package resolve

import "github.com/fstrace/fstrace/tracer/internal/procfs"

// MayHaveChanged reports whether the session has changed something on the way of a path,
// or is about to: the kernel does not say when such a call has run.
func (r *Resolver) MayHaveChanged(found *Result) bool {
	if r.recent.off || r.dirs.off || found.viaMoved || found.Info.Known() && r.recent.isChanged(procfs.InodeOf(&found.Info)) {
		return true
	}
	if r.hasChanged(found.Path) || r.hasChanged(found.Real) {
		return true
	}
	for _, link := range found.Links {
		if r.hasChanged(link.Path) {
			return true
		}
	}
	return false
}

func (r *Resolver) hasChanged(path string) bool {
	return path != "" && (r.recent.underChanged(path) || r.dirs.underMoved(path))
}
