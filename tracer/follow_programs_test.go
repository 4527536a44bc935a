package tracer

import (
	"slices"
	"strings"
	"testing"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/testdata/fixed"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// The programs of the model, and what the kernel does for them: forks, threads,
// execs, signals, deaths.

// step lets one thing happen, and reports whether there was anything that could.
func (k *modelKernel) step() bool {
	able := k.sorted(func(th *modelThread) bool {
		// At the end of the session all sleep for good: somebody has to wake them.
		sleeps := k.follower.release && !th.trap && len(th.pending) == 0
		return !th.free && (th.state == modelEmbryo || th.state == modelRunning && !sleeps)
	})
	switch {
	case len(able) == 0 && k.follower.release:
		return k.freeVfork()
	case len(able) == 0, k.budget > 0 && k.oneIn(15, "from outside"):
		return k.outside()
	}
	switch th := able[k.draw(len(able), "who")]; {
	case th.state == modelEmbryo, th.trap && !k.oneIn(6, "its call is under way"):
		k.trapNow(th)
	case len(th.pending) > 0:
		k.stopAt(th, signalled(th.tid, th.pending[0]))
		th.pending = th.pending[1:]
	default:
		k.act(th)
	}
	return true
}

// outside is what others do to a process: SIGKILL, SIGCONT, or another signal.
func (k *modelKernel) outside() bool {
	able := k.sorted(k.followed)
	if len(able) == 0 {
		return false
	}
	th := able[k.draw(len(able), "whom")]
	switch what := k.draw(6, "what"); {
	case th.proc.groupStop != 0 && what < 5:
		k.goOn(th.proc)
	case what == 5 || th.state == modelListening:
		k.die(th.proc, killedBy(unix.SIGKILL))
	default:
		th.pending = append(th.pending, unix.SIGUSR1)
	}
	return true
}

// goOn is what SIGCONT does to a group, whatever becomes of the signal itself.
func (k *modelKernel) goOn(p *modelProcess) {
	k.t.Logf("%d gets SIGCONT", p.pid)
	p.groupStop = 0
	for _, th := range p.threads {
		switch th.state {
		case modelListening:
			k.trapNow(th)
		case modelRunning, modelWaiting, modelStopped:
			th.trap = true // PTRACE_O_SEIZEd tracees are notified: JOBCTL_TRAP_NOTIFY
		}
	}
}

// modelCalls are what programs do, each as often as it stands here.
var modelCalls = strings.Fields(`
	fork fork fork fork vfork clone clone-parent thread thread thread thread
	exec exec signal signal SIGTSTP SIGSTOP SIGTERM exit exit exit_group`)

// act is a thread's next call.
func (k *modelKernel) act(th *modelThread) {
	calls := []string{"exit", "exit_group"}
	switch {
	case k.budget > 0 && len(k.threads) < modelMaxThreads:
		calls = modelCalls
	case k.budget > 0:
		calls = modelCalls[slices.Index(modelCalls, "exec"):]
	}
	if th.trap { // not a leader's exit: that is not reported, and the session ends with its threads
		calls = slices.DeleteFunc(slices.Clone(calls), func(call string) bool { return call == "exit" })
	}
	k.budget--
	call := rapid.SampledFrom(calls).Draw(k.t, "call")
	k.t.Logf("%d of %d: %s", th.tid, th.proc.pid, call)
	switch call {
	case "fork":
		k.fork(th, unix.PTRACE_EVENT_FORK, th.proc.pid)
	case "vfork":
		k.fork(th, unix.PTRACE_EVENT_VFORK, th.proc.pid)
	case "clone": // with an exit signal other than SIGCHLD
		k.fork(th, unix.PTRACE_EVENT_CLONE, th.proc.pid)
	case "clone-parent":
		k.fork(th, unix.PTRACE_EVENT_CLONE, th.proc.ppid)
	case "thread":
		child := k.newThread(th.proc)
		k.stopAt(th, cloned(th.tid, child.tid))
	case "exec":
		k.exec(th)
	case "signal":
		th.pending = append(th.pending, unix.SIGUSR1)
	case "SIGTSTP":
		th.pending = append(th.pending, unix.SIGTSTP)
	case "SIGSTOP":
		th.pending = append(th.pending, unix.SIGSTOP)
	case "SIGTERM":
		th.pending = append(th.pending, unix.SIGTERM)
	case "exit":
		k.exit(th)
	case "exit_group":
		k.die(th.proc, exited(1))
	}
}

func (k *modelKernel) fork(th *modelThread, event, ppid int) {
	child := k.newThread(k.newProcess(th.proc.pid, ppid))
	k.stopAt(th, newTask(event, th.tid, child.tid))
	if event == unix.PTRACE_EVENT_VFORK {
		child.proc.vforker = th
	}
}

// exec: the others of the group are killed, and when they are gone the caller has the
// leader's tid, whichever thread it was.
func (k *modelKernel) exec(th *modelThread) {
	p := th.proc
	p.execer = th
	th.state = modelWaiting
	for _, other := range p.threads {
		if other != th {
			k.kill(other, exited(0))
		}
	}
	if k.oneIn(3, "the siblings' ends are reported late, or never") {
		for tid, other := range p.threads {
			if other == th || tid == p.pid || len(k.owed[tid]) > 0 {
				continue
			}
			delete(p.threads, tid)
			if k.oneIn(2, "never") {
				delete(k.threads, tid)
			}
		}
	}
	k.tryExec(p)
}

// tryExec lets a thread that has waited for its siblings' end exec.
func (k *modelKernel) tryExec(p *modelProcess) {
	th := p.execer
	if th == nil || th.state != modelWaiting {
		return
	}
	for tid := range p.threads {
		if tid != th.tid && tid != p.pid {
			return
		}
	}
	p.execer = nil
	former := th.tid
	if former != p.pid {
		k.remove(p.threads[p.pid])
		k.remove(th)
		th.tid = p.pid
		k.threads[th.tid], p.threads[th.tid] = th, th
	}
	k.endVfork(p)
	k.stopAt(th, execed(th.tid, former))
}

func (k *modelKernel) endVfork(p *modelProcess) {
	if p.vforker != nil && p.vforker.state == modelWaiting {
		p.vforker.state = modelRunning
	}
	p.vforker = nil
}

// freeVfork makes the child of a vfork, which was detached, exec at last: until then its
// parent cannot be stopped.
func (k *modelKernel) freeVfork() bool {
	for _, th := range k.sorted(func(th *modelThread) bool { return th.free && th.tid == th.proc.pid }) {
		if th.proc.vforker != nil && th.proc.vforker.state == modelWaiting {
			k.endVfork(th.proc)
			return true
		}
	}
	return false
}

// kill ends a thread, whatever it is at: a stop that was not reported yet never
// will be.
func (k *modelKernel) kill(th *modelThread, code unix.WaitStatus) {
	if th.state == modelZombie {
		return
	}
	th.state, th.code = modelZombie, code
	if th.tid == th.proc.pid { // vfork(2) waits for the thread that it made, not for the process
		k.endVfork(th.proc)
	}
	if th.free && th.tid != th.proc.pid { // nobody's tracee: it reaps itself
		k.remove(th)
	}
}

// exit ends a thread, and its process if it is the last.
func (k *modelKernel) exit(th *modelThread) {
	k.kill(th, exited(0))
	for _, other := range th.proc.threads {
		if other.state != modelZombie {
			return
		}
	}
	k.ended(th.proc)
}

// die ends a process.
func (k *modelKernel) die(p *modelProcess, ws unix.WaitStatus) {
	k.t.Logf("%d dies: %#x", p.pid, ws)
	lives := false
	for _, th := range p.threads {
		lives = lives || th.state != modelZombie
		k.kill(th, ws)
	}
	if !lives {
		return
	}
	p.killed = ws
	p.execer = nil
	k.ended(p)
}

// ended: nobody of the group is left.
func (k *modelKernel) ended(p *modelProcess) {
	for _, child := range k.procs {
		if child.ppid == p.pid {
			child.ppid = modelInit
		}
	}
}

// afterVfork: the parent of a vfork waits, once its own stop is over.
func (k *modelKernel) afterVfork(th *modelThread) {
	if ptraceEvent(th.stop.status) != unix.PTRACE_EVENT_VFORK {
		return
	}
	for _, child := range k.procs {
		if child.vforker == th {
			th.state = modelWaiting
		}
	}
}

// runModel follows the model as the tracer thread follows the kernel.
func runModel(t *rapid.T, wait WaitPolicy) {
	k := newModelKernel(t, rapid.SampledFrom([]int{40, 20, 10, 5, 100}).Draw(t, "budget"))
	var list []*events.Event
	f := newFollower(k, k.registry, func(_ *process, e *events.Event) { list = append(list, e) })
	k.follower = f
	f.begin(&process{pid: modelRoot, ppid: modelSupervisor}, true)
	var batch []waitEvent
	// A child whose first stop is still to come, and whose parent was killed before it
	// could name it, is known to nobody; but it would be killed with the tracer.
	for !f.release || len(f.tasks) > 0 || len(k.sorted(k.followed)) > 0 {
		var err error
		if batch, err = collect(k, batch, f.known); err != nil {
			break
		}
		t.Logf("batch: %v", show(batch))
		for i := range batch {
			f.handle(&batch[i])
		}
		if f.rootDone && wait == WaitRoot && !f.release {
			f.releaseAll()
		}
	}
	k.verdict(list, wait)
}

// TestFollowModel follows programs drawn at random under orders of reports drawn at
// random: the same ones each time, but for make stress.
func TestFollowModel(t *testing.T) {
	fixed.Draws(t, 10_000)
	for name, wait := range map[string]WaitPolicy{"all": WaitAll, "root": WaitRoot} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) { runModel(t, wait) })
		})
	}
}
