package manifest

import (
	"slices"

	"github.com/fstrace/fstrace/events"
)

// keptProcesses is how many programs a fold keeps that made no first access and have
// ended. A session may run millions: beyond that many, the oldest are forgotten, and only
// counted.
const keptProcesses = 1024

// processes keeps which program made an access, and how that came to run.
type processes struct {
	list      []Process
	now       map[int]int // by process id: the index of what it runs
	forgotten int64       // how many are not in the list any more
	due       int         // how long the list may become before some are forgotten
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

// isFull reports whether it is time to forget some.
func (p *processes) isFull() bool { return len(p.list) >= max(p.due, 2*keptProcesses) }

// forgetProcesses takes programs out that explain nothing: those that have ended, made no
// access that is kept, and ran no program that is needed. The last ones of them stay.
func (f *fold) forgetProcesses(keep int) {
	p := &f.processes
	needed := make([]bool, len(p.list))
	for _, at := range p.now {
		needed[at] = true
	}
	for x := range f.accesses.all.all() {
		if x.process >= 0 {
			needed[x.process] = true
		}
	}
	for i := len(p.list) - 1; i >= 0; i-- {
		if !needed[i] && keep > 0 {
			needed[i] = true
			keep--
		}
		if from := p.list[i].From; needed[i] && from >= 0 {
			needed[from] = true
		}
	}
	moved := make([]int, len(p.list))
	n := 0
	for i := range p.list {
		if !needed[i] {
			moved[i] = -1
			continue
		}
		x := p.list[i]
		if x.From >= 0 {
			x.From = moved[x.From]
		}
		p.list[n], moved[i] = x, n
		n++
	}
	p.forgotten += int64(len(p.list) - n)
	clear(p.list[n:])
	p.list = p.list[:n]
	for pid, at := range p.now {
		p.now[pid] = moved[at]
	}
	for x := range f.accesses.all.all() {
		if x.process >= 0 {
			x.process = int32(moved[x.process])
		}
	}
	p.due = 2 * n
}

// current returns the index of what a process runs, -1 if it is not known.
func (p *processes) current(pid int) int {
	if at, ok := p.now[pid]; ok {
		return at
	}
	return -1
}
