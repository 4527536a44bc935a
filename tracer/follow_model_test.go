package tracer

import (
	"maps"
	"slices"
	"strconv"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/tracer/internal/procfs"
	slots "github.com/fstrace/fstrace/tracer/internal/recorder"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// A modelKernel is what ptrace(2) and wait(2) promise of seized tracees, and no
// more: which of them runs, what it does, who is killed and which of the pending
// reports comes first is drawn anew at each step. It checks each answer as it
// comes: an answer that no stop asked for, a stop left without one, a signal that
// is lost or invented.
//
// Numbers are not given out twice, so that a tid says which thread was meant.
type modelKernel struct {
	t        *rapid.T
	follower *follower
	registry *registry

	threads map[int]*modelThread // until they are reaped
	procs   map[int]*modelProcess
	nextID  int
	budget  int // calls that the programs still make; then they only exit

	owed    map[int][]waitEvent // stops that were reported and not answered
	settled map[int]bool        // settleSignal was called for the stop
}

type modelState uint8

const (
	modelEmbryo    modelState = iota // made, and on its way to its first stop
	modelRunning                     //
	modelWaiting                     // in vfork for its child, or in exec for its siblings' end
	modelStopped                     //
	modelListening                   // in a group stop, after PTRACE_LISTEN
	modelZombie                      //
)

type modelThread struct {
	tid     int
	proc    *modelProcess
	state   modelState
	stop    waitEvent     // if stopped
	told    bool          // its stop was reported
	trap    bool          // it is to stop by PTRACE_EVENT_STOP
	pending []unix.Signal // on their way to it
	free    bool          // detached: it goes its own ways
	code    unix.WaitStatus
}

type modelProcess struct {
	pid, ppid int
	maker     int // who called fork
	threads   map[int]*modelThread
	groupStop unix.Signal
	execer    *modelThread // waits for its siblings to be gone
	vforker   *modelThread // waits for this process to exec or to end
	killed    unix.WaitStatus

	// For the verdict.
	ran     bool  // one of its threads was let run
	named   bool  // the event that names it was reported
	parents []int // that the follower was told when it asked, before that
	execs   int   // reported
	reaped  bool
	status  unix.WaitStatus
}

const (
	modelSupervisor = 1
	modelInit       = 2
	modelRoot       = 10
	modelMaxThreads = 14
)

func newModelKernel(t *rapid.T, budget int) *modelKernel {
	k := &modelKernel{
		t: t, budget: budget, nextID: modelRoot, registry: newRegistry(),
		threads: make(map[int]*modelThread), procs: make(map[int]*modelProcess),
		owed: make(map[int][]waitEvent), settled: make(map[int]bool),
	}
	root := k.newThread(k.newProcess(modelSupervisor, modelSupervisor))
	root.state, root.proc.ran = modelRunning, true
	return k
}

func (k *modelKernel) newProcess(maker, ppid int) *modelProcess {
	p := &modelProcess{pid: k.nextID, ppid: ppid, maker: maker, threads: make(map[int]*modelThread)}
	k.procs[p.pid] = p
	return p
}

func (k *modelKernel) newThread(p *modelProcess) *modelThread {
	th := &modelThread{tid: k.nextID, proc: p}
	k.nextID++
	k.threads[th.tid], p.threads[th.tid] = th, th
	return th
}

func (k *modelKernel) draw(n int, what string) int { return rapid.IntRange(0, n-1).Draw(k.t, what) }

// oneIn draws a rare chance. Shrinking makes it rarer still.
func (k *modelKernel) oneIn(n int, what string) bool { return k.draw(n, what) == n-1 }

func (k *modelKernel) sorted(which func(*modelThread) bool) (list []*modelThread) {
	for _, tid := range slices.Sorted(maps.Keys(k.threads)) {
		if th := k.threads[tid]; which(th) {
			list = append(list, th)
		}
	}
	return list
}

// wait implements waiter: some things happen, then one of those that can be
// reported is.
func (k *modelKernel) wait(block bool) (waitEvent, bool, error) {
	if block {
		for tid, owed := range k.owed {
			if len(owed) > 0 {
				k.t.Fatalf("the stop %v was not answered", show(owed))
			}
			delete(k.owed, tid)
		}
	}
	for range k.draw(4, "steps") {
		k.step()
	}
	for {
		if ready := k.sorted(k.reportable); len(ready) > 0 {
			return k.report(ready[k.draw(len(ready), "report")]), true, nil
		}
		switch {
		case !block:
			return waitEvent{}, false, nil
		case len(k.sorted(k.ours)) == 0:
			return waitEvent{}, false, errNoTracees
		case k.step():
		case k.follower.release && len(k.follower.tasks) == 0: // it waits for children that it has let go
			return waitEvent{}, false, errNoTracees
		default:
			k.t.Fatalf("the follower waits, and nothing will ever happen; it knows of %d tasks, release %v", len(k.follower.tasks), k.follower.release)
		}
	}
}

// ours reports whether wait4 would wait for a thread: a tracee, or a child.
func (k *modelKernel) ours(th *modelThread) bool {
	return !th.free || th.proc.ppid == modelSupervisor
}

// followed reports whether a thread would be killed with its tracer: PTRACE_O_EXITKILL.
func (k *modelKernel) followed(th *modelThread) bool {
	return !th.free && th.state != modelZombie
}

func (k *modelKernel) reportable(th *modelThread) bool {
	switch th.state {
	case modelStopped:
		return !th.told && !th.free
	case modelZombie:
		if th.tid == th.proc.pid { // a leader, when it is the last: delay_group_leader
			return len(th.proc.threads) == 1 && k.ours(th)
		}
		return !th.free
	}
	return false
}

func (k *modelKernel) report(th *modelThread) waitEvent {
	if th.state == modelZombie {
		k.remove(th)
		ws := th.code
		if th.proc.killed != 0 {
			ws = th.proc.killed
		}
		if th.tid == th.proc.pid {
			th.proc.reaped, th.proc.status = true, ws
		}
		k.tryExec(th.proc)
		return dead(th.tid, ws)
	}
	th.told = true
	e := th.stop
	if kind := e.kind(); kind == evNew || kind == evExec {
		if kind == evExec {
			th.proc.execs++
		}
		if k.oneIn(15, "killed before its message is fetched") {
			k.die(th.proc, killedBy(unix.SIGKILL))
			e.message = e.tid
		}
		if child := k.procs[e.message]; kind == evNew && child != nil {
			child.named = true
		}
	}
	k.t.Logf("reported: %v", show([]waitEvent{e}))
	k.owed[e.tid] = append(k.owed[e.tid], e)
	return e
}

// remove takes a thread out that was reaped.
func (k *modelKernel) remove(th *modelThread) {
	delete(k.threads, th.tid)
	delete(th.proc.threads, th.tid)
}

// The follower's side.

func (k *modelKernel) resume(tid int, sig unix.Signal)     { k.answer(tid, "resume", sig) }
func (k *modelKernel) listen(tid int)                      { k.answer(tid, "listen", 0) }
func (k *modelKernel) detach(tid int, sig unix.Signal)     { k.answer(tid, "detach", sig) }
func (k *modelKernel) awaitStop(int)                       {}
func (k *modelKernel) settleSignal(tid int, _ unix.Signal) { k.settled[tid] = true }

func (k *modelKernel) answer(tid int, how string, sig unix.Signal) {
	k.t.Logf("%s %d, signal %d", how, tid, sig)
	owed := k.owed[tid]
	if len(owed) == 0 {
		k.t.Fatalf("%s %d, which has no stop that is to be answered", how, tid)
	}
	e := owed[0]
	k.owed[tid] = owed[1:]
	kind, want := e.kind(), unix.Signal(0)
	if kind == evSignal {
		want = e.status.StopSignal()
		if !k.settled[tid] && k.follower.tasks[tid] != nil {
			k.t.Fatalf("a signal of %d is delivered, and its call was not settled", tid)
		}
	}
	delete(k.settled, tid)
	if sig != want {
		k.t.Fatalf("%s %d with signal %d after %v, want signal %d", how, tid, sig, show([]waitEvent{e}), want)
	}
	switch {
	case k.follower.release && how != "detach",
		!k.follower.release && how == "detach",
		!k.follower.release && (how == "listen") != (kind == evGroupStop):
		k.t.Fatalf("%v is answered by %s, release %v", show([]waitEvent{e}), how, k.follower.release)
	}
	if kind == evExec {
		for other, task := range k.follower.tasks {
			if task.proc.pid == tid && other != tid {
				k.t.Fatalf("%d has executed, and its thread %d is not forgotten", tid, other)
			}
		}
	}
	if k.oneIn(25, "killed before it is answered") {
		if th := k.threads[tid]; th != nil {
			k.die(th.proc, killedBy(unix.SIGKILL))
		}
	}
	th := k.threads[tid]
	if th == nil || th.state != modelStopped {
		return // ESRCH: it was killed
	}
	k.leaveStop(th, how, sig)
}

func (k *modelKernel) leaveStop(th *modelThread, how string, sig unix.Signal) {
	if p, _ := k.registry.find(th.tid); p == nil || p.pid != th.proc.pid {
		k.t.Fatalf("%d runs, a thread of %d, and its calls are taken for those of %+v", th.tid, th.proc.pid, p)
	}
	th.proc.ran = true
	th.told = false
	switch how {
	case "listen":
		th.state = modelListening
		if th.trap || th.proc.groupStop == 0 { // a SIGCONT came before
			k.trapNow(th)
		}
		return
	case "detach":
		th.free = true
	}
	th.state = modelRunning
	k.afterVfork(th)
	switch sig {
	case unix.SIGTSTP, unix.SIGSTOP:
		th.proc.groupStop = sig
		for _, other := range th.proc.threads {
			other.trap = true
		}
	case unix.SIGTERM:
		k.die(th.proc, killedBy(sig))
	}
}

func (k *modelKernel) interrupt(tid int) {
	th := k.threads[tid]
	switch {
	case th == nil || th.state == modelZombie: // ESRCH
	case th.free:
		k.t.Fatalf("%d is interrupted, and was detached", tid)
	case th.state == modelListening:
		k.trapNow(th)
	default:
		th.trap = true
	}
}

// trapNow is the stop by PTRACE_EVENT_STOP, whose signal says whether the group is
// stopped.
func (k *modelKernel) trapNow(th *modelThread) {
	th.trap = false
	sig := th.proc.groupStop
	if sig == 0 {
		sig = unix.SIGTRAP
	}
	k.stopAt(th, groupStopped(th.tid, sig))
}

func (k *modelKernel) stopAt(th *modelThread, e waitEvent) {
	th.state, th.stop, th.told = modelStopped, e, false
}

func (k *modelKernel) isThread(pid, tid int) bool {
	th := k.threads[tid]
	return th != nil && k.threads[pid] != nil && th.proc == k.threads[pid].proc
}

func (k *modelKernel) status(tid int) (procfs.Status, bool) {
	th := k.threads[tid]
	if th == nil {
		return procfs.Status{}, false
	}
	if !th.proc.named {
		th.proc.parents = append(th.proc.parents, th.proc.ppid)
	}
	return procfs.Status{TGID: th.proc.pid, PPID: th.proc.ppid, Zombie: th.state == modelZombie}, true
}

func (k *modelKernel) image(pid int) (string, []string) {
	if k.threads[pid] == nil {
		return "", nil
	}
	return "/bin/" + strconv.Itoa(pid), nil
}

func (k *modelKernel) cwd(int) string { return "/" }

func (k *modelKernel) inject(*injection, bool) (bool, unix.Signal) { return false, 0 }
func (k *modelKernel) takeBack(int, uint64) bool                   { return false }
func (k *modelKernel) leave(int, uint64, []slots.Led, *slots.Ring) {}

// verdict compares what was emitted with what was done.
func (k *modelKernel) verdict(list []*events.Event, wait WaitPolicy) {
	seen := make(map[int][]*events.Event)
	for _, e := range list {
		if k.procs[e.PID] == nil {
			k.t.Fatalf("%v of %d, which is no process", e.Op, e.PID)
		}
		seen[e.PID] = append(seen[e.PID], e)
	}
	for pid, p := range k.procs {
		k.judge(p, seen[pid])
	}
	f := k.follower
	if len(f.tasks) > 0 {
		k.t.Fatalf("%d tasks are left: %v", len(f.tasks), slices.Sorted(maps.Keys(f.tasks)))
	}
	for tid, m := range k.registry.tasks {
		if k.procs[m.proc.pid].reaped || wait == WaitAll {
			k.t.Fatalf("the registry still has %d, a thread of %d", tid, m.proc.pid)
		}
	}
	if root := k.procs[modelRoot]; !f.rootDone || f.rootState != root.status {
		k.t.Fatalf("the command ended with %#x, the follower has %v, %#x", root.status, f.rootDone, f.rootState)
	}
	if left := k.sorted(k.followed); len(left) > 0 {
		k.t.Fatalf("%d is neither dead nor let go", left[0].tid)
	}
}

func (k *modelKernel) judge(p *modelProcess, list []*events.Event) {
	count := make(map[events.Op]int)
	for i, e := range list {
		count[e.Op]++
		if p.pid != modelRoot && (e.Op == events.OpStart) != (i == 0) || e.Op == events.OpExit && i < len(list)-1 {
			k.t.Fatalf("process %d: event %d of %d is %v", p.pid, i, len(list), e.Op)
		}
	}
	starts := count[events.OpStart]
	switch {
	case p.pid == modelRoot:
		starts++ // the session's own
	case starts == 0 && p.ran:
		k.t.Fatalf("process %d was let run, and has no start", p.pid)
	case starts > 1:
		k.t.Fatalf("process %d has %d starts", p.pid, starts)
	}
	if p.reaped && count[events.OpExit] != starts && !k.wasReleased(p) || count[events.OpExit] > starts {
		k.t.Fatalf("process %d has %d starts, %d exits, and has ended", p.pid, starts, count[events.OpExit])
	}
	if count[events.OpExec] != p.execs {
		k.t.Fatalf("process %d has %d execs, %d were reported", p.pid, count[events.OpExec], p.execs)
	}
	if starts == 1 && p.pid != modelRoot && list[0].PPID != p.maker && !slices.Contains(p.parents, list[0].PPID) {
		k.t.Fatalf("process %d has the parent %d, made by %d", p.pid, list[0].PPID, p.maker)
	}
	released := 0
	for _, r := range k.follower.released {
		if r.pid == p.pid {
			released++
		}
	}
	lives := slices.ContainsFunc(slices.Collect(maps.Values(p.threads)), func(th *modelThread) bool { return th.state != modelZombie })
	if released > 1 || lives && released == 0 {
		k.t.Fatalf("process %d was released %d times, lives %v", p.pid, released, lives)
	}
}

func (k *modelKernel) wasReleased(p *modelProcess) bool {
	return slices.ContainsFunc(k.follower.released, func(r *process) bool { return r.pid == p.pid })
}
