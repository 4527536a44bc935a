package tracer

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/tracer/internal/procfs"
	slots "github.com/fstrace/fstrace/tracer/internal/recorder"
	"golang.org/x/sys/unix"
)

// A scriptedKernel is one in which a test says what /proc holds, and that notes
// what is done to tracees.
type scriptedKernel struct {
	scriptedWaiter
	statuses map[int]procfs.Status // of the threads that are there
	did      []string
}

func (k *scriptedKernel) note(what string, tid int, sig unix.Signal) {
	s := fmt.Sprintf("%s %d", what, tid)
	if sig != 0 {
		s += " " + signalName(sig)
	}
	k.did = append(k.did, s)
}

func (k *scriptedKernel) resume(tid int, sig unix.Signal)     { k.note("resume", tid, sig) }
func (k *scriptedKernel) listen(tid int)                      { k.note("listen", tid, 0) }
func (k *scriptedKernel) detach(tid int, sig unix.Signal)     { k.note("detach", tid, sig) }
func (k *scriptedKernel) interrupt(tid int)                   { k.note("interrupt", tid, 0) }
func (k *scriptedKernel) awaitStop(tid int)                   { k.note("await", tid, 0) }
func (k *scriptedKernel) settleSignal(tid int, _ unix.Signal) { k.note("settle", tid, 0) }

func (k *scriptedKernel) isThread(pid, tid int) bool {
	st, ok := k.statuses[tid]
	_, there := k.statuses[pid]
	return ok && there && (st.TGID == pid || pid == tid)
}

func (k *scriptedKernel) status(tid int) (procfs.Status, bool) {
	st, ok := k.statuses[tid]
	return st, ok
}

func (k *scriptedKernel) image(pid int) (string, []string) {
	if _, ok := k.statuses[pid]; !ok {
		return "", nil
	}
	return "/bin/new", []string{"new"}
}

func (k *scriptedKernel) cwd(int) string { return "/" }

func (k *scriptedKernel) inject(*injection, bool) (bool, unix.Signal) { return false, 0 }
func (k *scriptedKernel) takeBack(int, uint64) bool                   { return false }
func (k *scriptedKernel) leave(int, uint64, []slots.Led, *slots.Ring) {}

// Threads of a script: process 10 is the command, 11 a thread of it, 20 and 30 are
// processes, 21 is a thread of 20.
func scriptStatuses() map[int]procfs.Status {
	return map[int]procfs.Status{
		10: {TGID: 10, PPID: 1},
		11: {TGID: 10, PPID: 1},
		20: {TGID: 20, PPID: 10},
		21: {TGID: 20, PPID: 10},
		30: {TGID: 30, PPID: 20},
	}
}

// follow handles batches, each sorted as collect does it, and returns what was
// done to tracees and what was reported of processes.
func follow(k *scriptedKernel, batches [][]waitEvent) (f *follower, told []string) {
	f = newFollower(k, newRegistry(), func(_ *process, e *events.Event) { told = append(told, tell(e)) })
	f.stopped = func(sig unix.Signal) { told = append(told, "stopped "+signalName(sig)) }
	f.begin(&process{pid: 10, ppid: 1, exe: "/bin/old", argv: []string{"old"}}, true)
	play(f, k, batches)
	return f, told
}

func play(f *follower, k *scriptedKernel, batches [][]waitEvent) {
	for _, batch := range batches {
		for _, e := range batch {
			if e.kind() == evDead { // reaped by then
				delete(k.statuses, e.tid)
			}
		}
		sortBatch(batch, f.known)
		for i := range batch {
			f.handle(&batch[i])
		}
	}
}

func tell(e *events.Event) string {
	switch e.Op {
	case events.OpStart:
		return fmt.Sprintf("start %d by %d: %s", e.PID, e.PPID, e.Exe)
	case events.OpExec:
		return fmt.Sprintf("exec %d: %s", e.PID, e.Exe)
	}
	if e.Exit.Signal != "" {
		return fmt.Sprintf("exit %d: %s", e.PID, e.Exit.Signal)
	}
	return fmt.Sprintf("exit %d: %d", e.PID, e.Exit.Code)
}

func words(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, "; ")
}

type batches = [][]waitEvent

func TestFollow(t *testing.T) {
	kill := killedBy(unix.SIGKILL)
	tests := []struct {
		name    string
		batches batches
		did     string
		told    string
		left    string // tasks
	}{
		{
			name:    "fork, event first",
			batches: batches{{forked(10, 20)}, {trapped(20)}},
			did:     "resume 10; resume 20",
			told:    "start 20 by 10: /bin/old",
			left:    "10 20",
		},
		{
			name:    "fork, child first in the same batch",
			batches: batches{{trapped(20), forked(10, 20)}},
			did:     "resume 10; resume 20",
			told:    "start 20 by 10: /bin/old",
			left:    "10 20",
		},
		{
			name:    "fork, child first in a batch before",
			batches: batches{{trapped(20)}, {forked(10, 20)}},
			did:     "resume 20; resume 10",
			told:    "start 20 by 10: /bin/old",
			left:    "10 20",
		},
		{
			name:    "a child whose birth nobody names",
			batches: batches{{trapped(20)}, {dead(10, kill)}, {dead(20, exited(0))}},
			did:     "resume 20",
			told:    "start 20 by 10: /bin/old; exit 10: SIGKILL; exit 20: 0",
		},
		{
			name:    "vfork",
			batches: batches{{vforked(10, 20)}, {trapped(20)}, {execed(20, 20)}, {dead(20, exited(0))}},
			did:     "resume 10; resume 20; resume 20",
			told:    "start 20 by 10: /bin/old; exec 20: /bin/new; exit 20: 0",
			left:    "10",
		},
		{
			name:    "thread, event first",
			batches: batches{{cloned(10, 11)}, {trapped(11)}, {dead(11, exited(0))}},
			did:     "resume 10; resume 11",
			left:    "10",
		},
		{
			name:    "thread, first stop first",
			batches: batches{{trapped(11)}, {cloned(10, 11)}},
			did:     "resume 11; resume 10",
			left:    "10 11",
		},
		{
			name:    "clone without CLONE_THREAD is a process",
			batches: batches{{cloned(10, 20)}, {trapped(20)}},
			did:     "resume 10; resume 20",
			told:    "start 20 by 10: /bin/old",
			left:    "10 20",
		},
		{
			name:    "fork by a thread",
			batches: batches{{cloned(10, 11)}, {trapped(11)}, {forked(11, 20), trapped(20)}},
			did:     "resume 10; resume 11; resume 11; resume 20",
			told:    "start 20 by 10: /bin/old",
			left:    "10 11 20",
		},
		{
			name:    "a thread whose process is not known",
			batches: batches{{trapped(21)}, {trapped(20)}, {forked(10, 20)}},
			did:     "resume 21; resume 20; resume 10",
			told:    "start 20 by 10: /bin/old",
			left:    "10 20 21",
		},
		{
			name:    "killed before its first stop, after its birth",
			batches: batches{{forked(10, 20)}, {dead(20, kill)}},
			did:     "resume 10",
			told:    "start 20 by 10: /bin/old; exit 20: SIGKILL",
			left:    "10",
		},
		{
			name:    "killed before its first stop, and reaped before its birth is reported",
			batches: batches{{dead(20, kill)}, {forked(10, 20)}},
			did:     "resume 10",
			left:    "10",
		},
		{
			name:    "lived and died before its birth is reported",
			batches: batches{{trapped(20)}, {dead(20, exited(0))}, {forked(10, 20)}},
			did:     "resume 20; resume 10",
			told:    "start 20 by 10: /bin/old; exit 20: 0",
			left:    "10",
		},
		{
			name:    "a thread killed with its group is no process",
			batches: batches{{cloned(10, 11), dead(11, kill)}, {dead(10, kill)}},
			did:     "resume 10",
			told:    "exit 10: SIGKILL",
		},
		{
			name:    "a stop of a tid that is gone is answered all the same",
			batches: batches{{trapped(20), dead(20, kill)}},
			did:     "resume 20",
			left:    "10",
		},
		{
			name:    "an event whose message could not be fetched",
			batches: batches{{forked(10, 10)}, {execed(10, 10)}, {dead(10, kill)}},
			did:     "resume 10; resume 10",
			told:    "exec 10: /bin/new; exit 10: SIGKILL",
		},
		{
			name:    "such an event of a child whose own birth is reported last",
			batches: batches{{trapped(20)}, {forked(20, 20)}, {dead(20, kill)}, {forked(10, 20)}},
			did:     "resume 20; resume 20; resume 10",
			told:    "start 20 by 10: /bin/old; exit 20: SIGKILL",
			left:    "10",
		},
		{
			name:    "exec",
			batches: batches{{execed(10, 10)}},
			did:     "resume 10",
			told:    "exec 10: /bin/new",
			left:    "10",
		},
		{
			name:    "exec by another thread; the others' ends are reported before",
			batches: batches{{cloned(10, 11)}, {trapped(11)}, {cloned(10, 12)}, {trapped(12)}, {dead(12, exited(0))}, {execed(10, 11)}},
			did:     "resume 10; resume 11; resume 10; resume 12; resume 10",
			told:    "exec 10: /bin/new",
			left:    "10",
		},
		{
			name:    "exec by another thread; the others' ends are reported after, or never",
			batches: batches{{cloned(10, 11)}, {cloned(10, 12)}, {cloned(10, 13)}, {execed(10, 11)}, {dead(12, exited(0))}},
			did:     "resume 10; resume 10; resume 10; resume 10",
			told:    "exec 10: /bin/new",
			left:    "10",
		},
		{
			name:    "exec does not touch other processes",
			batches: batches{{forked(10, 20)}, {trapped(20)}, {cloned(20, 21)}, {trapped(21)}, {execed(10, 10)}},
			did:     "resume 10; resume 20; resume 20; resume 21; resume 10",
			told:    "start 20 by 10: /bin/old; exec 10: /bin/new",
			left:    "10 20 21",
		},
		{
			name:    "a child after an exec runs the new program",
			batches: batches{{execed(10, 10)}, {forked(10, 20)}},
			did:     "resume 10; resume 10",
			told:    "exec 10: /bin/new; start 20 by 10: /bin/new",
			left:    "10 20",
		},
		{
			name:    "a signal is delivered once",
			batches: batches{{signalled(10, unix.SIGUSR1)}, {signalled(10, unix.SIGTERM)}, {dead(10, killedBy(unix.SIGTERM))}},
			did:     "settle 10; resume 10 SIGUSR1; settle 10; resume 10 SIGTERM",
			told:    "exit 10: SIGTERM",
		},
		{
			name:    "a signal is the first that is heard of a child",
			batches: batches{{signalled(20, unix.SIGUSR1)}},
			did:     "settle 20; resume 20 SIGUSR1",
			told:    "start 20 by 10: /bin/old",
			left:    "10 20",
		},
		{
			name: "the command is stopped, and goes on",
			batches: batches{
				{signalled(10, unix.SIGTSTP)},
				{groupStopped(10, unix.SIGTSTP)},
				{trapped(10)},
				{signalled(10, unix.SIGCONT)},
			},
			did:  "settle 10; resume 10 SIGTSTP; listen 10; resume 10; settle 10; resume 10 SIGCONT",
			told: "stopped SIGTSTP",
			left: "10",
		},
		{
			name:    "a descendant's stop is its parent's affair",
			batches: batches{{forked(10, 20)}, {groupStopped(20, unix.SIGSTOP)}},
			did:     "resume 10; listen 20",
			told:    "start 20 by 10: /bin/old",
			left:    "10 20",
		},
		{
			name:    "events that nobody asked for",
			batches: batches{{newTask(unix.PTRACE_EVENT_VFORK_DONE, 10, 20)}, {newTask(unix.PTRACE_EVENT_EXIT, 10, 0)}},
			did:     "resume 10; resume 10",
			left:    "10",
		},
		{
			name:    "a leader that ended before its thread",
			batches: batches{{cloned(10, 11)}, {trapped(11)}, {dead(11, exited(3))}, {dead(10, exited(0))}},
			did:     "resume 10; resume 11",
			told:    "exit 10: 0",
		},
		{
			name:    "the end of a process takes its threads along",
			batches: batches{{cloned(10, 11)}, {trapped(11)}, {dead(10, kill)}},
			did:     "resume 10; resume 11",
			told:    "exit 10: SIGKILL",
		},
		{
			name:    "a child that is no tracee, and not known",
			batches: batches{{dead(99, exited(0))}},
			left:    "10",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			k := &scriptedKernel{statuses: scriptStatuses()}
			for _, tid := range []int{12, 13} {
				k.statuses[tid] = procfs.Status{TGID: 10, PPID: 1}
			}
			f, told := follow(k, test.batches)
			if want := words(test.did); !slices.Equal(k.did, want) {
				t.Errorf("did  %q\nwant %q", k.did, want)
			}
			if want := words(test.told); !slices.Equal(told, want) {
				t.Errorf("told %q\nwant %q", told, want)
			}
			if got := taskList(f); got != test.left {
				t.Errorf("tasks left: %q, want %q", got, test.left)
			}
		})
	}
}

// taskList lists the tids that a follower knows of; its registry must know the same.
func taskList(f *follower) string {
	var tids, registered []int
	for tid := range f.tasks {
		tids = append(tids, tid)
	}
	for tid, m := range f.registry.tasks {
		if m.followed {
			registered = append(registered, tid)
		}
	}
	slices.Sort(tids)
	slices.Sort(registered)
	if !f.release && !slices.Equal(tids, registered) {
		return fmt.Sprintf("%v, in the registry %v", tids, registered)
	}
	return strings.Trim(fmt.Sprint(tids), "[]")
}

// TestRelease: the command has ended, descendants have not.
func TestRelease(t *testing.T) {
	before := batches{{forked(10, 20)}, {trapped(20)}, {cloned(20, 21)}, {trapped(21)}, {dead(10, exited(4))}}
	tests := []struct {
		name      string
		zombie    int
		alone     bool // the zombie has no other thread
		after     batches
		did, left string // did is without what came before
		told      string
		released  []int
	}{
		{
			name:     "each is let go at its next stop, whatever that is",
			after:    batches{{signalled(21, unix.SIGUSR1)}, {trapped(20)}},
			did:      "detach 20; detach 21 SIGUSR1; interrupt 20; interrupt 21; settle 21",
			released: []int{20},
		},
		{
			name:     "a group stop stays one",
			after:    batches{{groupStopped(20, unix.SIGSTOP), groupStopped(21, unix.SIGSTOP)}},
			did:      "detach 20; detach 21; interrupt 20; interrupt 21",
			released: []int{20},
		},
		{
			name:     "who ends meanwhile is not let go",
			after:    batches{{dead(21, exited(0))}, {dead(20, exited(1))}},
			did:      "interrupt 20; interrupt 21",
			told:     "exit 20: 1",
			released: nil,
		},
		{
			name:     "a child born meanwhile is reported, and let go",
			after:    batches{{forked(20, 30)}, {trapped(30)}, {trapped(21)}},
			did:      "detach 20; detach 21; detach 30; interrupt 20; interrupt 21",
			told:     "start 30 by 20: /bin/old",
			released: []int{20, 30},
		},
		{
			name:     "so is one whose birth is reported when it has been let go",
			after:    batches{{trapped(30)}, {forked(20, 30)}, {trapped(21)}},
			did:      "detach 20; detach 21; detach 30; interrupt 20; interrupt 21",
			told:     "start 30 by 20: /bin/old",
			released: []int{30, 20},
		},
		{
			name:     "a thread born when its leader has been let go",
			after:    batches{{trapped(20)}, {trapped(22)}, {cloned(21, 22)}},
			did:      "detach 20; detach 21; detach 22; interrupt 20; interrupt 21",
			released: []int{20},
		},
		{
			name:     "an exec when the leader has been let go",
			after:    batches{{trapped(20)}, {execed(20, 21)}},
			did:      "detach 20; detach 20; interrupt 20; interrupt 21",
			told:     "exec 20: /bin/new",
			released: []int{20},
		},
		{
			name:     "a leader that has ended is not waited for",
			zombie:   20,
			after:    batches{{trapped(21)}},
			did:      "detach 21; interrupt 20; interrupt 21",
			released: []int{20},
		},
		{
			name:   "one whose threads have ended, too, is reported next",
			zombie: 20,
			alone:  true,
			after:  batches{{dead(21, exited(3))}, {dead(20, exited(3))}},
			did:    "interrupt 20; interrupt 21",
			told:   "exit 20: 3",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			k := &scriptedKernel{statuses: scriptStatuses()}
			k.statuses[22] = procfs.Status{TGID: 20, PPID: 10}
			if st, ok := k.statuses[test.zombie]; ok {
				st.Zombie, st.Alone = true, test.alone
				k.statuses[test.zombie] = st
			}
			f, told := follow(k, before)
			if !f.rootDone || f.rootState != exited(4) {
				t.Fatalf("the command has ended: %v, %#x", f.rootDone, f.rootState)
			}
			k.did, told = nil, nil
			f.emit = func(_ *process, e *events.Event) { told = append(told, tell(e)) }
			f.releaseAll()
			play(f, k, test.after)
			slices.Sort(k.did) // interrupts come in any order
			if want := words(test.did); !slices.Equal(k.did, want) {
				t.Errorf("did  %q\nwant %q", k.did, want)
			}
			if want := words(test.told); !slices.Equal(told, want) {
				t.Errorf("told %q\nwant %q", told, want)
			}
			var released []int
			for _, p := range f.released {
				released = append(released, p.pid)
			}
			if !slices.Equal(released, test.released) || len(f.tasks) > 0 {
				t.Errorf("released %v, want %v; tasks left: %v", released, test.released, taskList(f))
			}
		})
	}
}
