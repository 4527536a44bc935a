package manifest

import (
	"slices"

	"github.com/fstrace/fstrace/events"
)

// An Explanation says what a path is to a command, and who made it so.
type Explanation struct {
	Path  string
	Roles []string // "input", "output", "removed", "temporary", "volatile", "link"
	Input *Entry   // nil if it is none
	// Accesses are the first of each kind to the path itself; if it is a symbolic
	// link that was only followed, those that led over it.
	Accesses []ExplainedAccess
}

// An ExplainedAccess is an access with the programs that led to it: the one that
// made it first, the command itself last.
type ExplainedAccess struct {
	Access
	Chain []Process
}

// Why explains a path; nil if the manifest does not know it.
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

// explain adds the chain of programs. A process that was forked and has not yet
// executed anything is the same program as its parent: it is left out.
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
