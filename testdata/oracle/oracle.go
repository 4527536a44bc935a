package oracle

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// Strace returns the accesses in what strace -ff -o prefix has written of a command
// that began in the directory cwd, each with the call that it comes from. strace must
// have been told to trace [Traced], with -y and without cutting off strings.
//
// Working directories and links are looked up on the file system as it is now.
func Strace(prefix, cwd string) (map[Access]string, error) {
	threads, err := readThreads(prefix)
	if err != nil {
		return nil, err
	}
	return accessesOf(threads, cwd)
}

// Comparable returns the accesses that each run of a command makes, under the names
// that they have in each run: see Rewrite.
func Comparable(in map[Access]string) map[Access]string {
	out := map[Access]string{}
	for a, from := range in {
		if !isChance(a.Op, a.Path) {
			out[Access{a.Op, Rewrite(a.Path), Rewrite(a.To)}] = from
		}
	}
	return out
}

// maxDifferences is how many are shown of each kind: one defect can make
// thousands.
const maxDifferences = 30

// Diff fails the test unless got has the accesses that strace has, want, no fewer and no
// more.
func Diff(t testing.TB, want, got map[Access]string) {
	t.Helper()
	report := func(title string, these, others map[Access]string) {
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
