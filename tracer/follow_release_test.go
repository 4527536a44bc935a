package tracer

import (
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// TestLetOut: a tracee's SIGSTOP may be fstrace's own, and say that it wants to
// trace somebody. The wish is added before batch 0.
func TestLetOut(t *testing.T) {
	before := batches{{forked(10, 20)}, {trapped(20)}, {cloned(20, 21)}, {trapped(21)}, {forked(20, 30)}, {trapped(30)}}
	stop := func(tid int) waitEvent { return signalled(tid, unix.SIGSTOP) }
	tests := []struct {
		name           string
		caller, target int
		release        bool
		after          batches
		did            string
		escaped        []int
		left           string
	}{
		{
			name:   "PTRACE_TRACEME",
			caller: 30, target: 30,
			after:   batches{{stop(30)}},
			did:     "detach 30",
			escaped: []int{30}, left: "10 20 21",
		},
		{
			name:   "the caller waits for its target",
			caller: 20, target: 30,
			after:   batches{{stop(20)}, {trapped(30)}},
			did:     "interrupt 30; detach 30; resume 20",
			escaped: []int{30}, left: "10 20 21",
		},
		{
			name:   "the target's signal is not lost",
			caller: 20, target: 30,
			after:   batches{{stop(20)}, {signalled(30, unix.SIGUSR1)}},
			did:     "interrupt 30; settle 30; detach 30 SIGUSR1; resume 20",
			escaped: []int{30}, left: "10 20 21",
		},
		{
			name:   "a thread is let out alone",
			caller: 30, target: 21,
			after: batches{{stop(30)}, {trapped(21)}},
			did:   "interrupt 21; detach 21; resume 30",
			left:  "10 20 30",
		},
		{
			name:   "the target ends first",
			caller: 20, target: 30,
			after: batches{{stop(20)}, {dead(30, exited(0))}},
			did:   "interrupt 30; resume 20",
			left:  "10 20 21",
		},
		{
			name:   "the target has ended before",
			caller: 20, target: 30,
			after: batches{{dead(30, exited(0))}, {stop(20)}},
			did:   "resume 20",
			left:  "10 20 21",
		},
		{
			name:   "the target, a thread, is replaced by an exec",
			caller: 30, target: 21,
			after: batches{{stop(30)}, {execed(20, 21)}},
			did:   "interrupt 21; resume 30; resume 20",
			left:  "10 20 30",
		},
		{
			name:   "the caller is killed while it waits",
			caller: 20, target: 30,
			after:   batches{{stop(20)}, {dead(21, killedBy(unix.SIGKILL)), dead(20, killedBy(unix.SIGKILL))}, {trapped(30)}},
			did:     "interrupt 30; detach 30",
			escaped: []int{30}, left: "10",
		},
		{
			name:   "a SIGSTOP of somebody else's",
			caller: 20, target: 30,
			after: batches{{stop(10)}},
			did:   "settle 10; resume 10 SIGSTOP",
			left:  "10 20 21 30",
		},
		{
			name:   "only the first SIGSTOP is fstrace's own",
			caller: 30, target: 99,
			after: batches{{stop(30)}, {stop(30)}},
			did:   "resume 30; settle 30; resume 30 SIGSTOP",
			left:  "10 20 21 30",
		},
		{
			name:   "an exec in a process whose leader was let out",
			caller: 20, target: 20,
			after:   batches{{stop(20)}, {execed(20, 21)}},
			did:     "detach 20; resume 20",
			escaped: []int{20}, left: "10 20 30",
		},
		{
			name:   "the session ends while the caller waits",
			caller: 20, target: 30,
			release: true,
			after:   batches{{stop(20)}, {dead(10, exited(0))}, {trapped(30)}, {trapped(21)}},
			did:     "interrupt 30; interrupt 20; interrupt 21; interrupt 30; detach 30; detach 20; detach 21",
			escaped: []int{30},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			k := &scriptedKernel{statuses: scriptStatuses()}
			f, _ := follow(k, before)
			k.did = nil
			var escaped []int
			f.escaped = func(p *process) { escaped = append(escaped, p.pid) }
			f.requests.add(test.caller, test.target)
			for _, batch := range test.after {
				play(f, k, batches{batch})
				if f.rootDone && test.release && !f.release {
					f.releaseAll()
					slices.Sort(k.did[1:]) // in any order
				}
			}
			if want := words(test.did); !slices.Equal(k.did, want) {
				t.Errorf("did  %q\nwant %q", k.did, want)
			}
			if !slices.Equal(escaped, test.escaped) {
				t.Errorf("let out %v, want %v", escaped, test.escaped)
			}
			if got := taskList(f); got != test.left {
				t.Errorf("tasks left: %q, want %q", got, test.left)
			}
		})
	}
}

// TestWishEndsWithCaller: the number of a caller that was killed before its signal
// came is another's some day, whose SIGSTOP is its own.
func TestWishEndsWithCaller(t *testing.T) {
	k := &scriptedKernel{statuses: scriptStatuses()}
	f, _ := follow(k, batches{{forked(10, 20)}, {trapped(20)}})
	f.requests.add(20, 10)
	play(f, k, batches{{dead(20, killedBy(unix.SIGKILL))}})
	if target, ok := f.requests.take(20); ok {
		t.Errorf("20 is dead, and still wants to trace %d", target)
	}
}
