// Package programs compares real programs with themselves: bare, under fstrace, under
// fstrace --connect and under strace.
package programs

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/fstrace/fstrace/testdata/harness"
	"github.com/fstrace/fstrace/testdata/oracle"
)

// Under fstrace a program prints, leaves and returns what it does without, and
// the record has what strace sees.
func TestRealPrograms(t *testing.T) {
	for i := range workloads {
		w := &workloads[i]
		t.Run(w.name, func(t *testing.T) {
			b := newBench(t, w, nil)
			argv := w.argv(b)
			if r := compareWithBare(t, w, b, argv); r != nil {
				compareWithStrace(t, w, b, argv, r)
			}
		})
	}
}

// The same goes for a user without privileges, where a filter costs
// no_new_privs and fstrace may look into fewer processes.
func TestRealProgramsUnprivileged(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("the tests themselves run without privileges")
	}
	for i := range workloads {
		w := &workloads[i]
		if w.rootOnly {
			continue
		}
		t.Run(w.name, func(t *testing.T) {
			b := newBench(t, w, harness.Nobody)
			compareWithBare(t, w, b, w.argv(b))
		})
	}
}

// compareWithBare runs w without fstrace and with it, and returns the record,
// nil if it cannot be one of all that was to be traced.
func compareWithBare(t *testing.T, w *workload, b *bench, argv []string) *harness.Record {
	t.Helper()
	bare := b.run(t, w, argv...)

	records := filepath.Join(b.base, "records")
	harness.Mkdir(t, records)
	if b.user != nil {
		b.mustRun(t, "chown", "65534:65534", records)
	}
	file := filepath.Join(records, "record.jsonl")
	flags := append([]string{harness.Fstrace(t), "-f", "jsonl", "-o", file}, w.flags...)
	traced := b.run(t, w, append(append(flags, "--"), argv...)...)
	if !compareOutcomes(t, w, bare, traced) {
		return nil
	}
	r := harness.ReadRecord(t, file)
	harness.CheckRecord(t, r, argv, traced.Status)
	return r
}

// compareOutcomes fails the test unless w did the same in a trace as without. It reports
// whether it ended in the same way.
func compareOutcomes(t *testing.T, w *workload, bare, traced harness.Outcome) bool {
	t.Helper()
	for _, s := range []struct{ name, bare, traced string }{
		{"standard output", bare.Stdout, traced.Stdout},
		{"standard error", bare.Stderr, traced.Stderr},
	} {
		if got, want := untimed(w.lines(s.traced)), untimed(w.lines(s.bare)); got != want {
			t.Errorf("%s:\n%s\nbare:\n%s", s.name, got, want)
		}
	}
	compareTrees(t, w, bare.Tree, traced.Tree)
	if bare.Status != traced.Status {
		t.Errorf("status %#x, bare %#x", traced.Status, bare.Status)
		return false
	}
	return true
}

// untimed removes the times that programs print, as CMake and fstrace -v do.
func untimed(s string) string { return durations.ReplaceAllString(s, "(TIME)") }

var durations = regexp.MustCompile(`\(\d+\.\d+s\)|\btime +[\d.hmsµ]+;`)

// compareWithStrace fails the test unless r, a record of w, has the accesses that
// strace sees, no fewer and no more.
func compareWithStrace(t *testing.T, w *workload, b *bench, argv []string, r *harness.Record) {
	t.Helper()
	dir := filepath.Join(b.base, "strace")
	harness.Mkdir(t, dir)
	if b.user != nil {
		b.mustRun(t, "chown", "65534:65534", dir)
	}
	prefix := filepath.Join(dir, "calls")
	b.run(t, w, append([]string{
		harness.NeedTool(t, "strace"), "-ff", "-qq", "-y", "-s", "4096", "-e", "signal=none", "-e", "trace=" + oracle.Traced, "-o", prefix, "--",
	}, argv...)...)
	want, err := oracle.Strace(prefix, b.dir)
	if err != nil {
		t.Fatal(err)
	}
	oracle.Diff(t, oracle.Comparable(want), oracle.Comparable(recordAccesses(r)))
}

// recordAccesses are those of a record that come from a call. strace cannot
// see the others, descriptors that the command inherited.
func recordAccesses(r *harness.Record) map[oracle.Access]string {
	all := map[oracle.Access]string{}
	for _, e := range r.Events {
		if e.Path != "" && e.Syscall != "" {
			all[oracle.Access{Op: e.Op, Path: e.Path, To: e.To}] = fmt.Sprintf("seq %d, %s by %d, %s", e.Seq, e.Syscall, e.PID, e.State)
		}
	}
	return all
}
