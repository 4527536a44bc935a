package main_test

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// compareWithStrace fails the test unless r, a record of w, has the accesses that
// strace sees, no fewer and no more.
func compareWithStrace(t *testing.T, w *workload, b *bench, argv []string, r *record) {
	t.Helper()
	prefix := filepath.Join(b.base, "strace")
	b.run(t, w, append([]string{
		needTool(t, "strace"), "-ff", "-qq", "-y", "-s", "4096", "-e", "signal=none", "-e", "trace=" + straceTraced, "-o", prefix, "--",
	}, argv...)...)
	threads, err := readStrace(prefix)
	if err != nil {
		t.Fatal(err)
	}
	want, err := straceAccesses(threads, b.dir)
	if err != nil {
		t.Fatal(err)
	}
	diffAccesses(t, rewriteAll(want), rewriteAll(recordAccesses(r)))
}

// recordAccesses are those of a record that come from a call. strace cannot
// tell of the others, descriptors that the command inherited.
func recordAccesses(r *record) map[access]string {
	all := map[access]string{}
	for _, e := range r.Events {
		if e.Path != "" && e.Syscall != "" {
			all[access{e.Op, e.Path, e.To}] = fmt.Sprintf("seq %d, %s by %d, %s", e.Seq, e.Syscall, e.PID, e.State)
		}
	}
	return all
}

func rewriteAll(in map[access]string) map[access]string {
	out := map[access]string{}
	for a, from := range in {
		if !isChance(a.op, a.path) {
			out[access{a.op, rewrite(a.path), rewrite(a.to)}] = from
		}
	}
	return out
}

// maxDifferences is how many are shown of each kind: one defect can make
// thousands.
const maxDifferences = 30

func diffAccesses(t testing.TB, want, got map[access]string) {
	t.Helper()
	report := func(title string, these, others map[access]string) {
		var lines []string
		for a, from := range these {
			if _, ok := others[a]; !ok {
				lines = append(lines, fmt.Sprintf("  %v\n      %s", a, from))
			}
		}
		if len(lines) == 0 {
			return
		}
		slices.Sort(lines)
		t.Errorf("%d of %d accesses only %s:\n%s", len(lines), len(these), title, strings.Join(lines[:min(len(lines), maxDifferences)], "\n"))
	}
	report("strace has", want, got)
	report("the record has", got, want)
	if len(want) == 0 {
		t.Errorf("strace has no accesses; the record has %d: %v", len(got), slices.Collect(maps.Keys(got)))
	}
}
