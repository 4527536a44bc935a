package tracer

import (
	"sync"

	"golang.org/x/sys/unix"
)

// A tracee can have one tracer. When a process inside the session wants to trace
// another, or to be traced by its parent, that one is released from fstrace's ptrace
// first; its calls go on being notified. This way gdb, strace and the leak checker
// of AddressSanitizer work inside a traced command.
//
// The ptrace call itself is notified. A tracee can only be detached while it is
// stopped, by the tracer thread, which sleeps in wait4. So the receiver notes the
// wish, sends the caller a SIGSTOP, and answers its call in such a way that the
// kernel starts it again after the signal (-ERESTARTNOINTR). The signal's delivery
// stops the caller and wakes the tracer thread, which lets the target out, takes
// the signal back, and resumes the caller: it calls ptrace again, and finds the
// target free.

// ptraceRequests holds the callers whose next SIGSTOP is fstrace's own, with the tid that
// each wants to trace: itself, for PTRACE_TRACEME. It is safe for concurrent use.
type ptraceRequests struct {
	mu      sync.Mutex
	targets map[int]int // by caller
}

// add notes a wish, before the caller gets its signal.
func (w *ptraceRequests) add(caller, target int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.targets == nil {
		w.targets = make(map[int]int)
	}
	w.targets[caller] = target
}

// take returns a caller's wish and removes it.
func (w *ptraceRequests) take(caller int) (target int, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	target, ok = w.targets[caller]
	delete(w.targets, caller)
	return target, ok
}

// pending reports whether a caller's SIGSTOP is still to come.
func (w *ptraceRequests) pending(caller int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, ok := w.targets[caller]
	return ok
}

// releaseTarget releases a caller's target, if the signal that stopped it says that it
// has one. It then answers the stop itself, or leaves the caller stopped until the target
// is, and returns true.
//
// A caller that is wanted itself, by a debugger of debuggers, is released rather than
// held: two that want each other would deadlock.
func (f *follower) releaseTarget(caller *task, sig unix.Signal) bool {
	if sig != unix.SIGSTOP {
		return false
	}
	target, ok := f.requests.take(caller.tid)
	switch {
	case !ok:
		return false
	case target == forInjection:
		f.inject(caller)
	case target == caller.tid, len(f.held[caller.tid]) > 0:
		f.letOut(caller.tid, 0, false)
	case f.tasks[target] == nil: // it has ended, or was let out meanwhile
		f.kernel.resume(caller.tid, 0)
	default:
		f.held[target] = append(f.held[target], caller.tid)
		f.kernel.interrupt(target)
	}
	return true
}

// letOut lets a stopped tracee go, delivering sig, and resumes who waited for that.
// One that is about to be stopped by fstrace's own signal is released at that stop:
// the signal would be left to it.
//
// A tracee in a group stop runs for a moment when it is detached, until it stops as its
// group has. A tracer that attaches to a stopped process finds it stopped: ptrace(2). So
// who waited has to wait for that.
func (f *follower) letOut(tid int, sig unix.Signal, inGroupStop bool) {
	if f.requests.pending(tid) {
		f.kernel.resume(tid, sig)
		return
	}
	t := f.tasks[tid]
	p := t.proc
	f.recordings.leave(f.kernel, t)
	f.recordings.released(p)
	delete(f.tasks, tid)
	if !t.named { // the event that names it is still to come
		f.unnamed[tid] = true
	}
	f.registry.enter(tid, p, false)
	if tid == p.pid {
		f.escaped(p) // while its number is surely its own
	}
	f.kernel.detach(tid, sig)
	if inGroupStop {
		f.kernel.awaitStop(tid)
	}
	f.freeHeld(tid)
}

// freeHeld resumes the callers that waited for a tracee to be released, or to die.
func (f *follower) freeHeld(target int) {
	for _, caller := range f.held[target] {
		f.resumeCaller(caller)
	}
	delete(f.held, target)
}

func (f *follower) resumeCaller(caller int) {
	if f.tasks[caller] == nil {
		return // killed
	}
	if f.release {
		f.forgetDetached(caller)
		f.kernel.detach(caller, 0)
		return
	}
	f.kernel.resume(caller, 0)
}

// inject makes the process of a thread that fstrace's signal has stopped record its
// calls, unless the process is about to be released.
func (f *follower) inject(t *task) {
	var sig unix.Signal
	if in := f.recordings.takeInjection(t.tid); in != nil {
		var done bool
		done, sig = f.kernel.inject(in, f.release || len(f.held[t.tid]) > 0)
		f.recordings.injected(in, done)
	}
	switch {
	case len(f.held[t.tid]) > 0:
		f.letOut(t.tid, sig, false)
	case f.release:
		f.forgetDetached(t.tid)
		f.kernel.detach(t.tid, sig)
	default:
		f.kernel.resume(t.tid, sig)
	}
}

// takeBack takes a fault back that was one of the recorder's code, and not of the
// program.
func (f *follower) takeBack(t *task, sig unix.Signal) bool {
	if sig != unix.SIGSEGV && sig != unix.SIGBUS {
		return false
	}
	if base := f.recordings.baseOf(t.proc); base == 0 || !f.kernel.takeBack(t.tid, base) {
		return false
	}
	f.resume(t.tid, evTrap, 0)
	return true
}
