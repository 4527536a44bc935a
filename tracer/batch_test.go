package tracer

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// Wait statuses as the kernel forms them: wait(2), ptrace(2).

func exited(code int) unix.WaitStatus           { return unix.WaitStatus(code << 8) }
func killedBy(sig unix.Signal) unix.WaitStatus  { return unix.WaitStatus(sig) }
func stoppedBy(sig unix.Signal) unix.WaitStatus { return unix.WaitStatus(int(sig)<<8 | 0x7f) }

// eventStop is the status of a PTRACE_EVENT_* stop.
func eventStop(event int, sig unix.Signal) unix.WaitStatus {
	return stoppedBy(sig) | unix.WaitStatus(event<<16)
}

func newTask(event, tid, child int) waitEvent {
	return waitEvent{tid: tid, status: eventStop(event, unix.SIGTRAP), message: child}
}

func forked(tid, child int) waitEvent  { return newTask(unix.PTRACE_EVENT_FORK, tid, child) }
func vforked(tid, child int) waitEvent { return newTask(unix.PTRACE_EVENT_VFORK, tid, child) }
func cloned(tid, child int) waitEvent  { return newTask(unix.PTRACE_EVENT_CLONE, tid, child) }

func execed(tid, former int) waitEvent { return newTask(unix.PTRACE_EVENT_EXEC, tid, former) }

// trapped is a first stop, an interrupt's, or the one after a SIGCONT.
func trapped(tid int) waitEvent {
	return waitEvent{tid: tid, status: eventStop(unix.PTRACE_EVENT_STOP, unix.SIGTRAP)}
}

func groupStopped(tid int, sig unix.Signal) waitEvent {
	return waitEvent{tid: tid, status: eventStop(unix.PTRACE_EVENT_STOP, sig)}
}

func signalled(tid int, sig unix.Signal) waitEvent {
	return waitEvent{tid: tid, status: stoppedBy(sig)}
}

func dead(tid int, ws unix.WaitStatus) waitEvent { return waitEvent{tid: tid, status: ws} }

func TestEventKind(t *testing.T) {
	tests := []struct {
		name string
		e    waitEvent
		want eventKind
	}{
		{"fork", forked(1, 2), evNew},
		{"vfork", vforked(1, 2), evNew},
		{"clone", cloned(1, 2), evNew},
		{"exec", execed(1, 1), evExec},
		{"first stop", trapped(1), evTrap},
		{"SIGSTOP", groupStopped(1, unix.SIGSTOP), evGroupStop},
		{"SIGTSTP", groupStopped(1, unix.SIGTSTP), evGroupStop},
		{"SIGTTIN", groupStopped(1, unix.SIGTTIN), evGroupStop},
		{"SIGTTOU", groupStopped(1, unix.SIGTTOU), evGroupStop},
		{"delivery of a signal", signalled(1, unix.SIGUSR1), evSignal},
		{"delivery of SIGSTOP", signalled(1, unix.SIGSTOP), evSignal},
		{"delivery of SIGTRAP", signalled(1, unix.SIGTRAP), evSignal},
		{"delivery of a real-time signal", signalled(1, 64), evSignal},
		{"the end of a vfork", newTask(unix.PTRACE_EVENT_VFORK_DONE, 1, 2), evOther},
		{"about to exit", newTask(unix.PTRACE_EVENT_EXIT, 1, 0), evOther},
		{"seccomp", newTask(unix.PTRACE_EVENT_SECCOMP, 1, 0), evOther},
		{"exit", dead(1, exited(0)), evDead},
		{"exit 127", dead(1, exited(127)), evDead},
		{"killed", dead(1, killedBy(unix.SIGKILL)), evDead},
		{"killed, with a core dump", dead(1, killedBy(unix.SIGSEGV)|0x80), evDead},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := test.e.kind(); got != test.want {
				t.Errorf("status %#x has kind %d, want %d", test.e.status, got, test.want)
			}
		})
	}
}

// A scriptedWaiter reports its events one after the other; "pause" is a moment at
// which nothing has happened. When there are no more it reports err.
type scriptedWaiter struct {
	events []waitEvent
	err    error
	calls  int
}

var pause = waitEvent{} // no process has the number 0

func (w *scriptedWaiter) wait(block bool) (waitEvent, bool, error) {
	w.calls++
	for {
		if len(w.events) == 0 {
			return waitEvent{}, false, w.err
		}
		e := w.events[0]
		w.events = w.events[1:]
		if e != pause {
			return e, true, nil
		}
		if !block {
			return waitEvent{}, false, nil
		}
	}
}

func knownTids(tids ...int) func(int) bool {
	return func(tid int) bool { return slices.Contains(tids, tid) }
}

func TestCollectOrder(t *testing.T) {
	known := knownTids(1, 2, 3)
	tests := []struct {
		name     string
		in, want []waitEvent
	}{
		{
			"a child's first stop comes after the event that names it",
			[]waitEvent{trapped(9), forked(1, 9), pause},
			[]waitEvent{forked(1, 9), trapped(9)},
		},
		{
			"whatever the child was stopped by",
			[]waitEvent{groupStopped(9, unix.SIGSTOP), signalled(8, unix.SIGUSR1), cloned(1, 9), forked(2, 8), pause},
			[]waitEvent{cloned(1, 9), forked(2, 8), groupStopped(9, unix.SIGSTOP), signalled(8, unix.SIGUSR1)},
		},
		{
			"exits come last, in their own order",
			[]waitEvent{dead(3, exited(0)), dead(2, exited(1)), trapped(9), signalled(1, unix.SIGCHLD), pause},
			[]waitEvent{signalled(1, unix.SIGCHLD), trapped(9), dead(3, exited(0)), dead(2, exited(1))},
		},
		{
			"stops of known tids keep their order",
			[]waitEvent{execed(3, 3), groupStopped(1, unix.SIGTSTP), trapped(2), pause},
			[]waitEvent{execed(3, 3), groupStopped(1, unix.SIGTSTP), trapped(2)},
		},
		{
			"a child that is dead already is born first",
			[]waitEvent{dead(9, killedBy(unix.SIGKILL)), vforked(1, 9), pause},
			[]waitEvent{vforked(1, 9), dead(9, killedBy(unix.SIGKILL))},
		},
		{
			"a number that is free again names another",
			[]waitEvent{dead(3, exited(0)), forked(1, 3), signalled(2, unix.SIGCHLD), trapped(3), trapped(9)},
			[]waitEvent{forked(1, 3), signalled(2, unix.SIGCHLD), dead(3, exited(0)), trapped(3)},
		},
		{
			"a tid's stop comes before its death",
			[]waitEvent{signalled(1, unix.SIGTERM), dead(1, killedBy(unix.SIGKILL)), trapped(2)},
			[]waitEvent{signalled(1, unix.SIGTERM), dead(1, killedBy(unix.SIGKILL))},
		},
		{
			"an unknown tid's stop comes before its death",
			[]waitEvent{trapped(9), dead(9, killedBy(unix.SIGKILL)), trapped(2)},
			[]waitEvent{trapped(9), dead(9, killedBy(unix.SIGKILL))},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := &scriptedWaiter{events: test.in}
			got, err := collect(w, nil, known)
			if err != nil || !slices.Equal(got, test.want) {
				t.Errorf("got %v, %v\nwant %v", show(got), err, show(test.want))
			}
		})
	}
}

func show(batch []waitEvent) (s []string) {
	for i := range batch {
		s = append(s, fmt.Sprintf("%d:%#x(%d)", batch[i].tid, batch[i].status, batch[i].message))
	}
	return s
}

// TestCollectStopsDraining has it leave the rest in the kernel.
func TestCollectStopsDraining(t *testing.T) {
	many := make([]waitEvent, 3*maxBatch)
	for i := range many {
		many[i] = trapped(100 + i)
	}
	twice := []waitEvent{trapped(1), trapped(2), dead(1, exited(0)), trapped(3)}
	tests := []struct {
		name string
		in   []waitEvent
		left int
	}{
		{"at the size of a batch", many, 2 * maxBatch},
		{"at a tid's second event", twice, 1},
		{"when nothing has happened", []waitEvent{trapped(1), pause, trapped(2)}, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := &scriptedWaiter{events: test.in}
			batch, err := collect(w, nil, knownTids())
			if err != nil || len(w.events) != test.left {
				t.Errorf("%d events in the batch, %d left, %v; want %d left", len(batch), len(w.events), err, test.left)
			}
		})
	}
}

// TestCollectErrors: what was drained before the error is not lost, and the error
// comes with the next call.
func TestCollectErrors(t *testing.T) {
	bad := errors.New("bad")
	for _, err := range []error{errNoTracees, bad} {
		w := &scriptedWaiter{events: []waitEvent{trapped(1)}, err: err}
		batch, got := collect(w, nil, knownTids())
		if got != nil || len(batch) != 1 {
			t.Errorf("before %v: %v, %v, want the one event", err, show(batch), got)
		}
		if batch, got = collect(w, batch, knownTids()); got != err || len(batch) != 0 {
			t.Errorf("at the end: %v, %v, want %v", show(batch), got, err)
		}
	}
}

const manyTids = 2 * maxBatch

// TestCollectProperties: nothing is lost nor invented, the ranks rise, and a tid's
// own events stay as they were.
func TestCollectProperties(t *testing.T) {
	event := rapid.Custom(func(t *rapid.T) waitEvent {
		tid := rapid.IntRange(1, manyTids).Draw(t, "tid")
		make := rapid.SampledFrom([]func(int) waitEvent{
			func(tid int) waitEvent { return forked(tid, 90) },
			func(tid int) waitEvent { return cloned(tid, 91) },
			func(tid int) waitEvent { return execed(tid, tid) },
			trapped,
			func(tid int) waitEvent { return groupStopped(tid, unix.SIGSTOP) },
			func(tid int) waitEvent { return signalled(tid, unix.SIGINT) },
			func(tid int) waitEvent { return dead(tid, exited(3)) },
			func(int) waitEvent { return pause },
		}).Draw(t, "kind")
		return make(tid)
	})
	rapid.Check(t, func(t *rapid.T) {
		script := possible(rapid.SliceOfN(event, 1, 2*manyTids).Draw(t, "events"))
		known := func(tid int) bool { return tid%2 == 0 }
		w := &scriptedWaiter{events: slices.Clone(script), err: errNoTracees}
		for taken := 0; ; {
			before := w.events
			batch, err := collect(w, nil, known)
			if err != nil {
				break
			}
			drained := slices.DeleteFunc(slices.Clone(before[:len(before)-len(w.events)]), func(e waitEvent) bool { return e == pause })
			if len(batch) > maxBatch || len(batch) == 0 {
				t.Fatalf("a batch of %d", len(batch))
			}
			checkBatch(t, drained, batch, known)
			taken += len(batch)
		}
		if len(w.events) > 0 {
			t.Fatalf("%d events were never taken", len(w.events))
		}
	})
}

// possible leaves out what no kernel reports: a stop before the one before it was
// answered, but for that of a tid that a thread's exec has taken over; and anything
// of a tid that is dead but the first stop of another thread with its number.
func possible(script []waitEvent) (list []waitEvent) {
	last := make(map[int]eventKind)
	for _, e := range script {
		before, again := last[e.tid]
		kind := e.kind()
		if e != pause && again && (before == evDead && kind != evTrap || before != evDead && kind != evDead && kind != evExec) {
			continue
		}
		if e != pause {
			last[e.tid] = kind
		}
		list = append(list, e)
	}
	return list
}

func checkBatch(t *rapid.T, drained, batch []waitEvent, known func(int) bool) {
	t.Helper()
	tids := make(map[int]bool)
	for _, e := range drained[:len(drained)-1] {
		if tids[e.tid] {
			t.Fatalf("draining went on after the second event of %d: %v", e.tid, show(drained))
		}
		tids[e.tid] = true
	}
	for tid := 1; tid <= manyTids; tid++ {
		of := func(list []waitEvent) (own []waitEvent) {
			for _, e := range list {
				if e.tid == tid {
					own = append(own, e)
				}
			}
			return own
		}
		own := of(batch)
		if !slices.Equal(own, of(drained)) {
			t.Fatalf("events of %d are in another order: %v, drained %v", tid, show(batch), show(drained))
		}
	}
	sorted := batch
	if end := len(drained) - 1; end > 0 && drained[end].kind() != evDead && slices.ContainsFunc(drained[:end],
		func(e waitEvent) bool { return e.tid == drained[end].tid && e.kind() == evDead }) {
		if sorted = batch[:end]; batch[end] != drained[end] {
			t.Fatalf("the first stop with the number %d again is not the last: %v", drained[end].tid, show(batch))
		}
	}
	last := 0
	for i := range sorted {
		rank := 1
		switch kind := batch[i].kind(); {
		case kind == evNew:
			rank = 0
		case kind == evDead:
			rank = 3
		case !known(batch[i].tid):
			rank = 2
		}
		if rank < last {
			t.Fatalf("event %d of %v is out of order", i, show(batch))
		}
		last = rank
	}
	count := func(list []waitEvent) map[waitEvent]int {
		n := make(map[waitEvent]int)
		for _, e := range list {
			n[e]++
		}
		return n
	}
	a, b := count(drained), count(batch)
	for e, n := range a {
		if b[e] != n {
			t.Fatalf("event %v drained %d times is in the batch %d times", e, n, b[e])
		}
	}
	if len(a) != len(b) {
		t.Fatalf("the batch %v has events that %v has not", show(batch), show(drained))
	}
}
