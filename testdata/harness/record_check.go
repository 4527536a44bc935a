package harness

import (
	"slices"
	"syscall"
	"testing"
)

// CheckTree is [CheckProcesses] for a session with --lifecycle ptrace. Without ptrace,
// processes that make no file call are not seen.
func CheckTree(t *testing.T, r *Record, lifecycle string) {
	t.Helper()
	if lifecycle == "ptrace" {
		CheckProcesses(t, r.Events)
	}
}

// WantComplete fails the test unless the record says that it is complete.
func WantComplete(t *testing.T, r *Record) {
	t.Helper()
	if !r.Complete() {
		t.Errorf("incomplete: %v", r.Trailer["incomplete"])
	}
}

// CheckRecord fails the test unless r is the whole record of argv ending with
// status: complete, with a consistent tree of processes and counts that are true.
func CheckRecord(t testing.TB, r *Record, argv []string, status syscall.WaitStatus) {
	t.Helper()
	if !r.Complete() {
		t.Errorf("incomplete: %v", r.Trailer["incomplete"])
	}
	if got := anyStrings(r.Header["argv"]); !slices.Equal(got, argv) {
		t.Errorf("header has argv %q, want %q", got, argv)
	}
	exit, _ := r.Trailer["exit"].(map[string]any)
	if status.Exited() && IntField(exit, "code") != status.ExitStatus() {
		t.Errorf("trailer has exit %v, the status was %d", exit, status.ExitStatus())
	}
	CheckProcesses(t, r.Events)
	CheckCounts(t, r)
}

// CheckProcesses fails the test unless every process starts before it does
// anything, is another one's child, and ends once.
func CheckProcesses(t testing.TB, events []Event) {
	t.Helper()
	alive, seen := map[int]bool{}, map[int]bool{}
	last := 0
	for i, e := range events {
		if e.Seq <= last {
			t.Errorf("event %d has seq %d after %d", i, e.Seq, last)
		}
		last = e.Seq
		switch e.Op {
		case "start":
			if alive[e.PID] {
				t.Errorf("process %d started twice", e.PID)
			}
			if len(seen) > 0 && !seen[e.PPID] {
				t.Errorf("process %d has the unknown parent %d", e.PID, e.PPID)
			}
			alive[e.PID], seen[e.PID] = true, true
		case "exit":
			if !alive[e.PID] {
				t.Errorf("process %d ended without having started", e.PID)
			}
			delete(alive, e.PID)
		default:
			if !alive[e.PID] {
				t.Errorf("%s of %s (seq %d) by process %d, which is not running", e.Op, e.Path, e.Seq, e.PID)
			}
		}
	}
	if len(seen) == 0 {
		t.Error("no process started")
	}
	for pid := range alive {
		t.Errorf("process %d never ended", pid)
	}
}

// CheckCounts compares the trailer's counts with the events.
func CheckCounts(t testing.TB, r *Record) {
	t.Helper()
	want := map[string]int{"events": len(r.Events)}
	for _, e := range r.Events {
		want[e.Op]++
	}
	counts, _ := r.Trailer["counts"].(map[string]any)
	for op, n := range want {
		if IntField(counts, op) != n {
			t.Errorf("trailer counts %v events %s, there are %d", counts[op], op, n)
		}
	}
	for op := range counts {
		if want[op] == 0 && IntField(counts, op) != 0 {
			t.Errorf("trailer counts %v events %s, there are none", counts[op], op)
		}
	}
}

func anyStrings(v any) []string {
	list, _ := v.([]any)
	all := make([]string, 0, len(list))
	for _, x := range list {
		s, _ := x.(string)
		all = append(all, s)
	}
	return all
}

// Distinct returns the different strings of list, sorted; nil if there is none.
func Distinct(list []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(list)))
}
