package manifest

import (
	"slices"

	"github.com/fstrace/fstrace/events"
)

// processes keeps which program made an access, and how that came to run.
type processes struct {
	list []Process
	now  map[int]int // by process id: the index of what it runs
}

// step takes in a step in the life of a process.
func (p *processes) step(e *events.Event) {
	if p.now == nil {
		p.now = make(map[int]int)
	}
	at, known := p.now[e.PID]
	switch e.Op {
	case events.OpStart:
		from := -1
		if parent, ok := p.now[e.PPID]; ok {
			from = parent
		}
		p.add(e, e.PPID, from)
	case events.OpExec:
		ppid, from := 0, -1
		if known {
			ppid, from = p.list[at].PPID, at
		}
		p.add(e, ppid, from)
	case events.OpExit:
		if known && e.Exit != nil {
			exit := *e.Exit
			p.list[at].Exit = &exit
		}
		delete(p.now, e.PID)
	}
}

func (p *processes) add(e *events.Event, ppid, from int) {
	p.now[e.PID] = len(p.list)
	p.list = append(p.list, Process{
		PID: e.PID, PPID: ppid, From: from, Exe: e.Exe, Argv: slices.Clone(e.Argv), Cwd: e.Cwd,
	})
}

// current returns the index of what a process runs, -1 if it is not known.
func (p *processes) current(pid int) int {
	if at, ok := p.now[pid]; ok {
		return at
	}
	return -1
}

// accesses keeps the first access of each kind to each path.
type accesses struct {
	list []Access
	seen map[accessKey]struct{}
}

type accessKey struct {
	path string
	op   events.Op
}

func (a *accesses) add(e *events.Event, path string, s events.State, process int) {
	key := accessKey{path, e.Op}
	if _, ok := a.seen[key]; ok {
		return
	}
	if a.seen == nil {
		a.seen = make(map[accessKey]struct{})
	}
	a.seen[key] = struct{}{}
	as := e.As
	if path == e.To {
		as = e.ToAs
	}
	if as == "" && path == e.Real {
		as = e.Path // the link that it was reached by
	}
	a.list = append(a.list, Access{
		Path: path, Op: e.Op, State: s, Process: process, Syscall: e.Syscall, As: as,
		Links: slices.Clone(e.Links),
	})
}

// opsOn returns the operations on a path, sorted.
func (a *accesses) opsOn(path string) []events.Op {
	var list []events.Op
	for op := events.OpRead; op <= events.OpChdir; op++ {
		if _, ok := a.seen[accessKey{path, op}]; ok {
			list = append(list, op)
		}
	}
	return list
}
