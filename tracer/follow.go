package tracer

import (
	"errors"
	"maps"
	"slices"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/tracer/internal/procfs"
	slots "github.com/fstrace/fstrace/tracer/internal/recorder"
	"golang.org/x/sys/unix"
)

// errNoTracees means that the tracer thread has no tracee and no child.
var errNoTracees = errors.New("no tracees")

// A kernel is what the follower does to tracees. Each method may find that the tracee
// does not exist (ESRCH), because it was killed while it was stopped. Then its death will
// be reported, and nothing else must be done.
type kernel interface {
	waiter
	resume(tid int, sig unix.Signal) // PTRACE_CONT: deliver sig, if not 0
	listen(tid int)                  // PTRACE_LISTEN: stay stopped, but report a SIGCONT
	detach(tid int, sig unix.Signal) // PTRACE_DETACH: as resume, and let go
	interrupt(tid int)               // PTRACE_INTERRUPT: stop it
	awaitStop(tid int)               // wait until one that was detached in a group stop is stopped
	// settleSignal makes a file call that a signal has interrupted restart
	// whatever the signal's handler is, before the signal is delivered; and one that
	// waits, if the signal is ignored.
	settleSignal(tid int, sig unix.Signal)
	// isThread reports whether tid is a thread of the group pid, not a process.
	isThread(pid, tid int) bool
	// status reads what the kernel knows of a tid; ok is false if it is gone.
	status(tid int) (s procfs.Status, ok bool)
	// image reads what a process runs.
	image(pid int) (exe string, argv []string)
	// cwd reads where a process is.
	cwd(pid int) string
	// inject and takeBack: inject_linux_amd64.go.
	inject(in *injection, only bool) (done bool, sig unix.Signal)
	takeBack(tid int, base uint64) bool
	leave(tid int, base uint64, led []slots.Led, r *slots.Ring)
}

// A task is one tracee: a thread.
type task struct {
	tid     int
	proc    *process
	started bool // its first stop is over
	named   bool // the event that names it has come
}

// A follower maintains the tree of processes from ptrace events. Only the tracer thread
// uses it; other threads use the registry and the queue.
//
// It answers every stop at once, by exactly one resume, listen or detach. It never holds
// a tracee for an event that may not come.
type follower struct {
	kernel   kernel
	registry *registry
	emit     func(*process, *events.Event)
	tasks    map[int]*task
	root     int // the command's pid

	// stopped is called when the command's group stops by job control, started for a new
	// process before it runs, ended when it is reaped.
	stopped func(sig unix.Signal)
	started func(p *process)
	ended   func(p *process, status unix.WaitStatus)
	// executed is called when a process runs another program, while it is stopped.
	executed func(p *process, exe string, argv []string)

	// unnamed are the tids that have ended, or were detached, before the event that names
	// them. That event must not enter them again. If the tid belongs to a new thread by
	// then, the first stop of that thread shows it.
	unnamed map[int]bool
	// isEcho reports whether a signal for the command has been delivered already.
	isEcho func(tid int, sig unix.Signal) bool
	// recordings are of processes that record their calls; nil for none.
	recordings *recordings
	// requests are the tracees that a process of the session wants to trace itself.
	requests *ptraceRequests
	// held are callers of ptrace that stay stopped until their target is released.
	held    map[int][]int
	escaped func(p *process) // a process was let out
	// adopted is called for a process that no event has named yet, with its parent, nil
	// if that is not known: it need not have made it.
	adopted func(p, parent *process)
	// mistaken is called for a process that was taken for another's.
	mistaken func(p *process)

	rootDone  bool
	rootState unix.WaitStatus
	// release means that the session is over: each tracee is detached at its next stop.
	release  bool
	released []*process
}

func newFollower(k kernel, g *registry, emit func(*process, *events.Event)) *follower {
	return &follower{
		kernel: k, registry: g, emit: emit, tasks: make(map[int]*task), unnamed: make(map[int]bool),
		requests: new(ptraceRequests), held: make(map[int][]int),
		stopped: func(unix.Signal) {}, started: func(*process) {}, ended: func(*process, unix.WaitStatus) {},
		executed: func(*process, string, []string) {}, escaped: func(*process) {}, adopted: func(_, _ *process) {}, mistaken: func(*process) {}, isEcho: func(int, unix.Signal) bool { return false },
	}
}

// begin enters the first thread of the command, which is a tracee or only a child.
func (f *follower) begin(p *process, traced bool) {
	f.root = p.pid
	if traced {
		f.tasks[p.pid] = &task{tid: p.pid, proc: p, started: true, named: true}
	}
	f.registry.enter(p.pid, p, traced)
	f.recordings.begin(p)
}

// known reports whether a tid's first stop is over.
func (f *follower) known(tid int) bool {
	t := f.tasks[tid]
	return t != nil && t.started
}

// handle answers one event.
func (f *follower) handle(e *waitEvent) {
	kind := e.kind()
	if kind == evDead {
		f.dead(e)
		return
	}
	t := f.tasks[e.tid]
	if t == nil {
		if p, followed := f.registry.find(e.tid); p != nil && !followed && kind == evSignal {
			f.childStopped(e)
			return
		}
		if t = f.adopt(e.tid); t == nil {
			f.resume(e.tid, kind, e.status)
			return
		}
	}
	t.started = true
	if kind == evSignal && (f.releaseTarget(t, e.status.StopSignal()) || f.takeBack(t, e.status.StopSignal())) {
		return
	}
	switch kind {
	case evNew:
		if e.message != e.tid { // the message could be fetched
			f.born(t, e.message, ptraceEvent(e.status))
		}
	case evExec:
		f.exec(t, e.message)
	case evSignal:
		f.recordings.leave(f.kernel, t)
		f.kernel.settleSignal(e.tid, e.status.StopSignal())
		if t.proc.pid == f.root && f.isEcho(e.tid, e.status.StopSignal()) {
			f.resume(e.tid, evTrap, e.status) // as if it had not come
			return
		}
	case evGroupStop:
		f.resume(e.tid, kind, e.status)    // from here on a SIGCONT shows
		if e.tid == f.root || f.rootDone { // of a job that has outlived the command, any
			f.stopped(e.status.StopSignal())
		}
		return
	case evTrap, evOther, evDead:
	}
	f.resume(e.tid, kind, e.status)
}

// childStopped is called when the command has stopped and is a child that ptrace does not
// follow.
func (f *follower) childStopped(e *waitEvent) {
	if e.tid == f.root {
		f.stopped(e.status.StopSignal())
	}
}

// resume lets a stopped tracee continue as it would without a tracer.
func (f *follower) resume(tid int, kind eventKind, ws unix.WaitStatus) {
	var sig unix.Signal
	if kind == evSignal {
		sig = ws.StopSignal()
	}
	switch {
	case len(f.held[tid]) > 0:
		f.letOut(tid, sig, kind == evGroupStop)
	case f.release && f.requests.pending(tid): // fstrace's own SIGSTOP must not be left to it
		f.kernel.resume(tid, sig)
	case f.release:
		f.forgetDetached(tid)
		f.kernel.detach(tid, sig) // a group stop goes on without us
	case kind == evGroupStop:
		f.kernel.listen(tid)
	default:
		f.kernel.resume(tid, sig)
	}
}

// born enters the child that a clone event names, unless it is known already, or
// was.
func (f *follower) born(parent *task, tid, event int) {
	switch child := f.tasks[tid]; {
	case child != nil: // adopted
		child.named = true
		if child.proc != parent.proc && child.proc.family.Load() != parent.proc.family.Load() {
			child.proc.bear(parent.proc)
			f.mistaken(child.proc)
		}
		return
	case f.unnamed[tid]:
		delete(f.unnamed, tid)
		return
	}
	var child *task
	switch {
	case event != unix.PTRACE_EVENT_CLONE:
		child = f.addProcess(tid, parent.proc.pid, true)
	case f.kernel.isThread(parent.proc.pid, tid):
		child = f.add(tid, parent.proc)
	case f.isProcess(tid):
		child = f.addProcess(tid, parent.proc.pid, true)
	default:
		return // killed: its end will be reported
	}
	child.named = true
}

// isProcess reports whether a tid that a clone event names is a process, not a thread of
// the caller's.
func (f *follower) isProcess(tid int) bool {
	st, ok := f.kernel.status(tid)
	return ok && st.TGID == tid
}

// adopt enters a tid whose first stop came before the event that names it, which
// may never come: its parent can be killed in between.
func (f *follower) adopt(tid int) *task {
	delete(f.unnamed, tid)
	st, ok := f.kernel.status(tid)
	if !ok {
		return nil
	}
	if p, _ := f.registry.find(st.TGID); p != nil { // let go, if not its leader's tid
		return f.add(tid, p)
	}
	leader := f.addProcess(st.TGID, st.PPID, false)
	if st.TGID != tid { // a thread whose process is not known either
		return f.add(tid, leader.proc)
	}
	return leader
}

func (f *follower) add(tid int, p *process) *task {
	t := &task{tid: tid, proc: p}
	f.tasks[tid] = t
	if tid != p.pid {
		f.recordings.joined(tid, p)
	}
	f.registry.enter(tid, p, true)
	return t
}

// addProcess enters a new process, which runs what its parent runs.
func (f *follower) addProcess(pid, ppid int, named bool) *task {
	p := &process{pid: pid, ppid: ppid}
	parent, _ := f.registry.find(ppid)
	if parent != nil {
		p.exe, p.argv = f.registry.program(parent)
		p.bear(parent)
	}
	if !named || parent == nil {
		f.adopted(p, parent)
	}
	f.recordings.born(p, parent)
	t := f.add(pid, p)
	f.started(p)
	f.emit(p, startEvent(p, f.kernel.cwd(pid)))
	return t
}

// exec notes a change of program. The thread that called exec has the tid of the leader
// now, and all other threads have ended. The ends of those may still be reported, but not
// the former tid of the caller.
func (f *follower) exec(t *task, former int) {
	p := t.proc
	if former != t.tid {
		if caller := f.tasks[former]; caller != nil {
			f.forget(former)
		}
	}
	for tid, other := range f.tasks {
		if other.proc == p && tid != t.tid {
			f.forget(tid)
		}
	}
	f.recordings.executed(p)
	exe, argv := f.kernel.image(p.pid)
	if exe == "" { // a program that may be executed but not looked at
		exe = f.registry.tried(p)
	}
	f.registry.setProgram(p, exe, argv)
	f.executed(p, exe, argv)
	f.emit(p, execEvent(p, exe, argv, f.kernel.cwd(p.pid)))
}

// dead removes a thread, and with the leader its process: the kernel reports the end of a
// leader when the last thread has ended.
func (f *follower) dead(e *waitEvent) {
	t := f.tasks[e.tid]
	if t == nil || !t.named {
		f.unnamed[e.tid] = true
	}
	if t == nil { // killed before its first stop, or by an exec; or a child that is no tracee
		if p, _ := f.registry.find(e.tid); p != nil && p.pid == e.tid {
			f.endOf(p, e.status)
		}
		return
	}
	f.forget(e.tid)
	if e.tid != t.proc.pid {
		return
	}
	f.endOf(t.proc, e.status)
}

// endOf notes the end of a process.
func (f *follower) endOf(p *process, status unix.WaitStatus) {
	exit := exitOf(status)
	f.recordings.ended(p)
	f.registry.removeAll(p)
	maps.DeleteFunc(f.tasks, func(_ int, t *task) bool { return t.proc == p })
	f.emit(p, exitEvent(p, &exit))
	f.ended(p, status)
	if p.pid == f.root && !f.rootDone {
		f.rootDone, f.rootState = true, status
	}
}

func (f *follower) forget(tid int) {
	delete(f.tasks, tid)
	f.registry.remove(tid)
	f.requests.take(tid)
	f.freeHeld(tid)
}

// forgetDetached forgets a tracee that is about to be detached. Its process stays in the
// registry: its calls may still be notified.
func (f *follower) forgetDetached(tid int) {
	if t := f.tasks[tid]; t != nil {
		f.recordings.leave(f.kernel, t)
		f.recordings.released(t.proc)
		delete(f.tasks, tid)
		if !t.named {
			f.unnamed[tid] = true
		}
		if tid == t.proc.pid && !slices.Contains(f.released, t.proc) {
			f.released = append(f.released, t.proc)
			f.dropGone(t.proc)
		}
	}
}

// dropGone forgets the threads of a process that have ended without a report. That
// happens if an exec is not reported, because an earlier stop of the leader was answered
// between the exec and its report.
func (f *follower) dropGone(p *process) {
	for tid, t := range f.tasks {
		if t.proc == p && !f.kernel.isThread(p.pid, tid) {
			f.forget(tid)
		}
	}
}

// releaseAll starts to detach every tracee. A leader that has ended before its last
// thread cannot be stopped, and is not waited for: its end is reported after those of the
// threads. The end of a leader without other threads is reported next.
func (f *follower) releaseAll() {
	f.release = true
	for tid, t := range f.tasks {
		f.kernel.interrupt(tid)
		if tid == t.proc.pid {
			if st, ok := f.kernel.status(tid); ok && st.Zombie && !st.Alone {
				f.forgetDetached(tid)
			}
		}
	}
}
