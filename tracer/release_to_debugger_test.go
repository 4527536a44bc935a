package tracer

import (
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Letting out when several things happen at once. Each batch may be preceded by
// wishes, written "caller>target".
func TestLetOutOrders(t *testing.T) {
	stop := func(tid int) waitEvent { return signalled(tid, unix.SIGSTOP) }
	known := batches{{forked(10, 20)}, {trapped(20)}, {forked(20, 30)}, {trapped(30)}}
	type step struct {
		ptraceRequests string
		batch          []waitEvent
	}
	for _, test := range []struct {
		name    string
		before  batches
		steps   []step
		did     string
		escaped []int
		left    string
	}{
		{
			name:   "traced by its parent before the event that names it",
			before: batches{{trapped(20)}},
			steps:  []step{{"20>20", []waitEvent{stop(20)}}, {"", []waitEvent{forked(10, 20)}}},
			did:    "detach 20; resume 10", escaped: []int{20}, left: "10",
		},
		{
			name:   "traced by its parent in the batch of the event that names it",
			before: batches{{trapped(20)}},
			steps:  []step{{"20>20", []waitEvent{stop(20), forked(10, 20)}}},
			did:    "resume 10; detach 20", escaped: []int{20}, left: "10",
		},
		{
			name:   "two want each other",
			before: known,
			steps:  []step{{"20>30 30>20", []waitEvent{stop(20)}}, {"", []waitEvent{stop(30)}}},
			did:    "interrupt 30; detach 30; resume 20", escaped: []int{30}, left: "10 20",
		},
		{
			name:   "two want each other, in one batch",
			before: known,
			steps:  []step{{"20>30 30>20", []waitEvent{stop(30), stop(20)}}},
			did:    "interrupt 20; detach 20; resume 30", escaped: []int{20}, left: "10 30",
		},
		{
			name:   "a debugger that is wanted by another is let out when its own target is",
			before: known,
			steps: []step{
				{"20>30 10>20", []waitEvent{stop(20)}},
				{"", []waitEvent{stop(10)}},
				{"", []waitEvent{trapped(30)}},
				{"", []waitEvent{trapped(20)}},
			},
			did:     "interrupt 30; interrupt 20; detach 30; resume 20; detach 20; resume 10",
			escaped: []int{30, 20}, left: "10",
		},
		{
			name:   "fstrace's own signal is not left to one that is let out",
			before: known,
			steps: []step{
				{"10>20", []waitEvent{stop(10)}},
				{"20>30", []waitEvent{trapped(20)}},
				{"", []waitEvent{stop(20)}},
			},
			did:     "interrupt 20; resume 20; detach 20; resume 10",
			escaped: []int{20}, left: "10 30",
		},
		{
			name:   "two want the same",
			before: known,
			steps: []step{
				{"10>30 20>30", []waitEvent{stop(10)}},
				{"", []waitEvent{stop(20)}},
				{"", []waitEvent{groupStopped(30, unix.SIGTSTP)}},
			},
			did:     "interrupt 30; interrupt 30; detach 30; await 30; resume 10; resume 20",
			escaped: []int{30}, left: "10 20",
		},
		{
			name:   "a second wish replaces the first",
			before: known,
			steps:  []step{{"20>99 20>30", []waitEvent{stop(20)}}, {"", []waitEvent{trapped(30)}}},
			did:    "interrupt 30; detach 30; resume 20", escaped: []int{30}, left: "10 20",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			k := &scriptedKernel{statuses: scriptStatuses()}
			f, told := follow(k, test.before)
			starts := len(told)
			k.did = nil
			var escaped []int
			f.escaped = func(p *process) { escaped = append(escaped, p.pid) }
			for _, s := range test.steps {
				addWishes(t, f.requests, s.ptraceRequests)
				play(f, k, batches{s.batch})
			}
			did := slices.DeleteFunc(k.did, func(s string) bool { return strings.HasPrefix(s, "settle") })
			if want := words(test.did); !slices.Equal(did, want) {
				t.Errorf("did  %q\nwant %q", did, want)
			}
			if !slices.Equal(escaped, test.escaped) {
				t.Errorf("let out %v, want %v", escaped, test.escaped)
			}
			if got := taskList(f); got != test.left {
				t.Errorf("tasks left: %q, want %q", got, test.left)
			}
			if len(told) != starts {
				t.Errorf("told of %q", told[starts:])
			}
		})
	}
}

// addWishes adds wishes as the receiver does.
func addWishes(t *testing.T, w *ptraceRequests, list string) {
	t.Helper()
	for _, wish := range strings.Fields(list) {
		caller, target, _ := strings.Cut(wish, ">")
		from, err := strconv.Atoi(caller)
		if err != nil {
			t.Fatal(err)
		}
		to, err := strconv.Atoi(target)
		if err != nil {
			t.Fatal(err)
		}
		w.add(from, to)
	}
}

// The session's end while fstrace's own signal is on its way: it must not be left
// to a process that goes on without fstrace.
func TestReleaseTakesOwnSignalBack(t *testing.T) {
	k := &scriptedKernel{statuses: scriptStatuses()}
	f, _ := follow(k, batches{{forked(10, 20)}, {trapped(20)}})
	f.requests.add(20, 99)
	play(f, k, batches{{dead(10, exited(0))}})
	f.releaseAll()
	k.did = nil
	play(f, k, batches{{trapped(20)}, {signalled(20, unix.SIGSTOP)}})
	if len(f.tasks) > 0 { // the interrupt may come before the signal, or after it
		play(f, k, batches{{trapped(20)}})
	}
	if want := []string{"resume 20", "resume 20", "detach 20"}; !slices.Equal(k.did, want) {
		t.Errorf("did  %q\nwant %q", k.did, want)
	}
}

// Wishes come from the receiver, and are taken by the tracer thread: each once.
func TestWishes(t *testing.T) {
	const callers = 1000
	var w ptraceRequests
	var adding sync.WaitGroup
	for part := range 4 {
		adding.Go(func() {
			for caller := part; caller < callers; caller += 4 {
				w.add(caller, caller+1)
			}
		})
	}
	taken := 0
	for taken < callers {
		for caller := range callers {
			if target, ok := w.take(caller); ok {
				taken++
				if target != caller+1 {
					t.Errorf("%d wants %d, want %d", caller, target, caller+1)
				}
			}
		}
	}
	adding.Wait()
	for caller := range callers {
		if w.pending(caller) {
			t.Errorf("%d's wish is still there", caller)
		}
	}
}

// A tracee that is slow to stop still gets fstrace's own SIGSTOP, which must be known
// for that when it comes.
func TestStopOutTakesItsTime(t *testing.T) {
	c := startChild(t, sleeper)
	r := &receiver{registry: newRegistry(), requests: new(ptraceRequests)}
	r.registry.enter(c.proc.pid, c.proc, true) // nobody lets it out
	r.stopOut(c.proc.pid, c.proc.pid, 10*time.Millisecond)
	if !r.requests.pending(c.proc.pid) {
		t.Error("its SIGSTOP is taken for another's")
	}
	r.registry.enter(c.proc.pid, c.proc, false)
	r.requests.take(c.proc.pid)
	r.stopOut(c.proc.pid, c.proc.pid, time.Hour)
	if r.requests.pending(c.proc.pid) {
		t.Error("one that is no tracee is to be let out")
	}
	c.cmd.Process.Kill()
	c.reap()
	unix.Close(c.fd)
}
