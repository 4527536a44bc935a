package tracer

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/fstrace/fstrace/tracer/internal/observe"
)

// A process is one thread group. The lock of its registry guards its fields, except pid,
// which does not change.
type process struct {
	pid  int
	ppid int // the process that made it
	argv []string
	exe  string
	// trying is the program of the last exec call, which may have failed.
	trying string
	// running is what the kernel is to run for it, as far as that is known.
	running observe.Image
	// unsure: a process that ptrace does not follow has called exec, and nothing
	// has been seen of it since.
	unsure bool

	dir observe.WorkDir // not guarded: the receiver's alone

	// What it records itself. recordings.mu guards both: apart processes record nothing.
	space *addressSpace
	apart bool

	// family is that of the fstraces inside of the session that get its events, endUnseen
	// says that its end is not reported, and adopts that it may be a subreaper:
	// PR_SET_CHILD_SUBREAPER. None is guarded.
	family    atomic.Pointer[family]
	endUnseen atomic.Bool
	adopts    atomic.Bool
}

// A registry maps threads to processes. The tracer thread enters a thread before it
// resumes it, so that a notification finds its thread.
type registry struct {
	mu    sync.RWMutex
	tasks map[int]member // by tid
}

// A member is one thread. ptrace reports the end of a thread that it follows. Other
// threads, which escaped it or were released to a debugger, are known only by their
// calls.
type member struct {
	proc     *process
	followed bool
}

func newRegistry() *registry { return &registry{tasks: make(map[int]member)} }

// find returns the process of a thread, or nil, and whether ptrace follows the
// thread.
func (g *registry) find(tid int) (p *process, followed bool) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	m := g.tasks[tid]
	return m.proc, m.followed
}

// WorkDir returns the cache for the working directory of a thread's process, or nil for
// an unknown thread.
func (g *registry) WorkDir(tid int) *observe.WorkDir {
	if p, _ := g.find(tid); p != nil {
		return &p.dir
	}
	return nil
}

// enter adds a thread. It replaces a dead thread of the same number.
func (g *registry) enter(tid int, p *process, followed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.tasks[tid] = member{p, followed}
}

// removeAll takes all threads of a process out.
func (g *registry) removeAll(p *process) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for tid, m := range g.tasks {
		if m.proc == p {
			delete(g.tasks, tid)
		}
	}
}

// remove takes a thread out.
func (g *registry) remove(tid int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.tasks, tid)
}

// tids lists the threads that are known.
func (g *registry) tids() []int {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return slices.Collect(maps.Keys(g.tasks))
}

// setProgram notes what a process runs now.
func (g *registry) setProgram(p *process, exe string, argv []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	p.exe, p.argv = exe, argv
}

// setTrying notes what a process is about to execute. Whether the exec succeeded is known
// from a ptrace event or, without ptrace, by looking at the process later (executed).
func (g *registry) setTrying(p *process, path string, followed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	p.trying, p.unsure = path, !followed
}

// setRunning notes which file the kernel will run for the current exec call.
func (g *registry) setRunning(p *process, f observe.Image) {
	g.mu.Lock()
	defer g.mu.Unlock()
	p.running = f
}

// takeRunning returns that file, the zero imageFile if it is not known.
func (g *registry) takeRunning(p *process) observe.Image {
	g.mu.Lock()
	defer g.mu.Unlock()
	f := p.running
	p.running = observe.Image{}
	return f
}

// wasUnsure reports whether the program of a process must be looked up again, and resets
// that.
func (g *registry) wasUnsure(p *process) bool {
	g.mu.RLock()
	unsure := p.unsure
	g.mu.RUnlock()
	if unsure {
		g.mu.Lock()
		p.unsure = false
		g.mu.Unlock()
	}
	return unsure
}

// tried returns what a process executed last.
func (g *registry) tried(p *process) string {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return p.trying
}

// program returns what a process runs.
func (g *registry) program(p *process) (exe string, argv []string) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return p.exe, p.argv
}
