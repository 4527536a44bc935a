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
