package tracer

import (
	"testing"

	"golang.org/x/sys/unix"
)

// Wait statuses: wait(2).
const (
	exitedWith3 = unix.WaitStatus(3 << 8)
	exitedWith0 = unix.WaitStatus(0)
	byTerm      = unix.WaitStatus(unix.SIGTERM)
	byKill      = unix.WaitStatus(unix.SIGKILL)
	bySegv      = unix.WaitStatus(unix.SIGSEGV | 0x80) // with a core dump
)

// A lifecycleEvent is what can happen to a lifecycle. It returns what is to be done.
type lifecycleEvent struct {
	name string
	tell func(*lifecycle) action
}

func exitEventOf(name string, ws unix.WaitStatus) lifecycleEvent {
	return lifecycleEvent{name, func(l *lifecycle) action {
		l.exit(ws)
		return doNothing
	}}
}

var lifecycleEvents = []lifecycleEvent{
	{"timeout", (*lifecycle).timeout},
	{"grace", (*lifecycle).grace},
	{"gone", func(l *lifecycle) action {
		l.gone()
		return doNothing
	}},
	exitEventOf("exit 0", exitedWith0),
	exitEventOf("exit 3", exitedWith3),
	exitEventOf("SIGTERM", byTerm),
	exitEventOf("SIGKILL", byKill),
	exitEventOf("SIGSEGV", bySegv),
}

// TestLifecycle has every order of up to five events, the impossible ones too,
// and compares what is done, and what is said of the end, with a description that
// has no states: it looks at which event came before which.
func TestLifecycle(t *testing.T) {
	const longest = 5
	var try func(order []int)
	try = func(order []int) {
		checkLifecycle(t, order)
		if len(order) == longest || t.Failed() {
			return
		}
		for i := range lifecycleEvents {
			try(append(order[:len(order):len(order)], i))
		}
	}
	try(nil)
}

const (
	timeoutAt = 0 // in lifecycleEvents
	graceAt   = 1
	goneAt    = 2
	killAt    = 6
)

func checkLifecycle(t *testing.T, order []int) {
	t.Helper()
	var l lifecycle
	timeout, grace, exit, told := -1, -1, -1, -1 // when each first meant something
	var names []string
	for i, which := range order {
		e := lifecycleEvents[which]
		names = append(names, e.name)
		want := doNothing
		switch {
		case which == timeoutAt && timeout < 0:
			timeout, want = i, terminateAll
		case which == graceAt && timeout >= 0 && grace < 0:
			grace, want = i, killAll
		case which >= goneAt && exit < 0:
			exit = i
		}
		if which > goneAt && told < 0 {
			told = i
		}
		if got := e.tell(&l); got != want {
			t.Errorf("%q: the last gives action %d, want %d", names, got, want)
		}
	}
	want := EndedByItself
	switch {
	case exit < 0, timeout < 0, exit < timeout:
	case grace >= 0 && grace < exit && told >= 0 && order[told] == killAt:
		want = EndedByKill
	default:
		want = EndedAfterTerm
	}
	if got := l.ending(); got != want {
		t.Errorf("%q: ending %d, want %d", names, got, want)
	}
}
