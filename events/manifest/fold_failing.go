package manifest

import (
	"slices"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/internal/certain"
)

// Some calls fail for certain, whatever else the session or somebody else does. They
// learn something, and change nothing: what is found later need not be explained by them.

// isBlocked reports whether the kernel did not get to path, at which nothing is, but only
// past it (missing/../x), or back to a link that it came from (ELOOP): the call has
// learned that, and failed.
func isBlocked(e *events.Event, path string, s events.State) bool {
	if s != events.StateAbsent {
		return false
	}
	return slices.ContainsFunc(e.Ways, func(w events.Way) bool { return w.State == events.StateAbsent && w.Path == path }) ||
		slices.ContainsFunc(e.Links, func(l events.Link) bool { return l.Path == path })
}

// isFailing reports whether a call fails because of the form of a path.
func isFailing(e *events.Event) bool {
	if e.As == "" && e.ToAs == "" {
		return false
	}
	c := certain.Call{
		Op: e.Op, MakesDir: e.Syscall == "mkdir" || e.Syscall == "mkdirat", RemovesDir: e.Op == events.OpDelete && removesDir(e),
		First: certain.Path{As: e.As, State: e.State}, Second: certain.Path{As: e.ToAs, State: e.ToState},
	}
	return c.Fails()
}

// fail notes a call that failed: first and second say what it learned.
func (f *fold) fail(e *events.Event, first, second *rule) {
	f.learnOnly(e, first, subject(e), e.State, &e.Info)
	if e.To != "" {
		f.learnOnly(e, second, e.To, e.ToState, &e.ToInfo)
	}
}

func (f *fold) learnOnly(e *events.Event, r *rule, path string, s events.State, info *events.FileInfo) {
	if f.isOutside(e, path, s, info) {
		return
	}
	at, n := f.tree.look(path)
	f.access(at, e, path, s)
	if up := n.parent(); r.parent && up != nil && up.from != nil {
		up.from.names = true // it may fail there first
	}
	f.look(n, e, r, path, s, info)
	if s == events.StateDir {
		f.listings.take(path, false)
	}
}
