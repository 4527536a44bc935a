package manifest

import (
	"slices"

	"github.com/fstrace/fstrace/events"
)

// An Explanation says how a command used a path.
type Explanation struct {
	Path  string
	Roles []string // "input", "output", "removed", "temporary", "volatile", "link"
	Input *Entry   // nil if the path is not an input
	// Accesses are the first accesses of each kind to the path. For a symbolic link that
	// was only followed, they are the accesses that passed through it.
	Accesses []ExplainedAccess
}

// An ExplainedAccess is an access and the chain of programs that led to it: first the one
// that made the access, last the command.
type ExplainedAccess struct {
	Access
	Chain []Process
}

// Why explains a path. It returns nil if the manifest does not have the path.
func (m *Manifest) Why(path string) *Explanation {
	x := &Explanation{Path: path}
	for i := range m.Inputs {
		if m.Inputs[i].Path == path {
			x.Input = &m.Inputs[i]
			x.Roles = append(x.Roles, "input")
		}
	}
	if slices.ContainsFunc(m.Outputs, func(e Entry) bool { return e.Path == path }) {
		x.Roles = append(x.Roles, "output")
	}
	for _, list := range []struct {
		role  string
		paths []string
	}{{"removed", m.Removed}, {"temporary", m.Temporary}, {"volatile", m.Volatile}} {
		if slices.Contains(list.paths, path) {
			x.Roles = append(x.Roles, list.role)
		}
	}
	for i := range m.Accesses {
		if a := &m.Accesses[i]; a.Path == path {
			x.Accesses = append(x.Accesses, m.explain(a))
		}
	}
	isHop := func(l events.Link) bool { return l.Path == path }
	for i := range m.Accesses {
		a := &m.Accesses[i]
		if a.Path != path && slices.ContainsFunc(a.Links, isHop) {
			if len(x.Roles) == 0 {
				x.Roles = append(x.Roles, "link")
			}
			x.Accesses = append(x.Accesses, m.explain(a))
		}
	}
	if len(x.Roles)+len(x.Accesses) == 0 {
		return nil
	}
	return x
}

// explain adds the chain of programs. A process that was forked and has not yet executed
// anything is the same program as its parent: it is left out.
func (m *Manifest) explain(a *Access) ExplainedAccess {
	x := ExplainedAccess{Access: *a}
	for i := a.Process; i >= 0; i = m.Processes[i].From {
		p := m.Processes[i]
		if n := len(x.Chain); n > 0 && slices.Equal(x.Chain[n-1].Argv, p.Argv) {
			x.Chain[n-1] = p
			continue
		}
		x.Chain = append(x.Chain, p)
	}
	return x
}
