// Package nested tests fstrace inside fstrace.
package nested

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fstrace/fstrace/testdata/harness"
)

// nestedWork is what commands inside of fstraces do: each operation, with processes of
// several kinds.
const nestedWork = `cat in.txt; cat nowhere 2>/dev/null; mkdir made; echo new > out.txt; echo more >> kept.txt
mv out.txt made/moved.txt; rm gone.txt; ln -s in.txt link; cat link; ls made; chmod 600 kept.txt
(exec sh -c 'cat in.txt >&2; exit 4'); echo "status $?"; exit 3`

// nestedDir makes the directory for nestedWork, with equal times each time.
func nestedDir(t testing.TB, dir string) string {
	t.Helper()
	work := filepath.Join(dir, "work")
	if err := os.RemoveAll(work); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(work, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(work, 0o777); err != nil {
		t.Fatal(err)
	}
	long := time.Unix(1_500_000_000, 0)
	for _, name := range []string{"in.txt", "kept.txt", "gone.txt"} {
		harness.WriteFile(t, filepath.Join(work, name), name+"\n")
		if err := os.Chmod(filepath.Join(work, name), 0o666); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(filepath.Join(work, name), long, long); err != nil {
			t.Fatal(err)
		}
	}
	return work
}

// sameRecord fails the test unless two records are of the same run.
func sameRecord(t *testing.T, name string, alone, inner *harness.Record) {
	t.Helper()
	harness.WantComplete(t, inner)
	if diff := harness.LineDiff(alone.Did(), inner.Did()); diff != "" {
		t.Errorf("%s (-alone +inside of another):\n%s", name, diff)
	}
	if a, b := fmt.Sprint(alone.Trailer["exit"], alone.Trailer["counts"]), fmt.Sprint(inner.Trailer["exit"], inner.Trailer["counts"]); a != b {
		t.Errorf("%s ends with %s, alone with %s", name, b, a)
	}
}

// fstrace inside fstrace: the record of the inner one is what it is alone.
func TestNested(t *testing.T) {
	exe := harness.Fstrace(t)
	for _, outer := range harness.Lifecycles {
		for _, inner := range harness.Lifecycles {
			t.Run(outer+"/"+inner, func(t *testing.T) {
				dir := harness.OpenDir(t)
				file := filepath.Join(dir, "inner.jsonl")
				argv := []string{"sh", "-c", nestedWork}
				tr := &harness.Trial{Dir: nestedDir(t, dir), Flags: []string{"--lifecycle", inner}}
				bare := tr.Bare(t, argv...)
				nestedDir(t, dir)
				_, alone := tr.Traced(t, argv...)
				nestedDir(t, dir)
				tr.Flags = []string{"--lifecycle", outer}
				traced, r := tr.Traced(t, append([]string{exe, "-f", "jsonl", "--lifecycle", inner, "-o", file, "--"}, argv...)...)
				harness.Same(t, bare, traced, nil)
				harness.WantComplete(t, r)
				harness.CheckTree(t, r, outer)
				in := harness.ReadRecord(t, file)
				harness.CheckTree(t, in, outer)
				if outer == inner {
					sameRecord(t, "inner", alone, in)
					return
				}
				harness.WantComplete(t, in) // processes are seen as the outer one sees them
				accesses := func(r *harness.Record) *harness.Record {
					return &harness.Record{Events: slices.DeleteFunc(slices.Clone(r.Events), func(e harness.Event) bool { return e.Syscall == "" })}
				}
				if diff := harness.LineDiff(accesses(alone).Did(), accesses(in).Did()); diff != "" {
					t.Errorf("accesses (-alone +inside of another):\n%s", diff)
				}
			})
		}
	}
}

// Three of them, one inside of another: each has the record that it would have alone.
func TestNestedThrice(t *testing.T) {
	exe := harness.Fstrace(t)
	dir := harness.OpenDir(t)
	tr := &harness.Trial{Dir: nestedDir(t, dir), Stdin: func() (io.Reader, error) { return strings.NewReader("typed\n"), nil }}
	argv := []string{"sh", "-c", `read line; echo "$line"; cat in.txt > out; kill -TERM $$`}
	inside := func(name string, argv []string) []string {
		return append([]string{exe, "-f", "jsonl", "-o", filepath.Join(dir, name), "--"}, argv...)
	}
	bare := tr.Bare(t, argv...)
	nestedDir(t, dir)
	_, alone := tr.Traced(t, argv...)
	nestedDir(t, dir)
	traced, r := tr.Traced(t, inside("middle", inside("innermost", argv))...)
	harness.Same(t, bare, traced, nil)
	harness.WantComplete(t, r)
	r.Opened(t, harness.RealPath(t, "cat"), filepath.Join(dir, "work", "in.txt"))
	sameRecord(t, "innermost", alone, harness.ReadRecord(t, filepath.Join(dir, "innermost")))
	middle := harness.ReadRecord(t, filepath.Join(dir, "middle"))
	harness.WantComplete(t, middle)
	harness.CheckTree(t, middle, "ptrace")
	middle.Opened(t, harness.RealPath(t, "cat"), filepath.Join(dir, "work", "in.txt"))
	if len(middle.Events) <= len(alone.Events) {
		t.Errorf("the middle record has %d events, the innermost %d", len(middle.Events), len(alone.Events))
	}
}

// Below a listener that is no fstrace's, an inner one knows of processes only. What it
// says on standard error is a sentence, not an error number.
func TestNestedElsewhere(t *testing.T) {
	exe := harness.Fstrace(t)
	above := harness.BuildC(t, "gcc", "incomplete/listener", "-pthread")
	dir := harness.OpenDir(t)
	file := filepath.Join(dir, "inner.jsonl")
	tr := &harness.Trial{Dir: nestedDir(t, dir)}
	argv := []string{"sh", "-c", nestedWork}
	bare := tr.Bare(t, argv...)
	nestedDir(t, dir)
	got := tr.Bare(t, append([]string{above, exe, "-f", "jsonl", "-o", file, "--"}, argv...)...)
	said := got.Stderr
	got.Stderr = bare.Stderr
	harness.Same(t, bare, got, nil)
	if !strings.Contains(said, "fstrace: the record is incomplete: nested: another fstrace") || strings.Contains(said, "EBUSY") {
		t.Errorf("standard error:\n%s", said)
	}
	in := harness.ReadRecord(t, file)
	if got := harness.Distinct(in.Reasons()); !slices.Equal(got, []string{"nested"}) {
		t.Errorf("the record is incomplete for %v, want nested", in.Trailer["incomplete"])
	}
	harness.CheckTree(t, in, "ptrace")
	if !slices.ContainsFunc(in.Events, func(e harness.Event) bool { return e.Op == "exit" && e.Code == 4 }) {
		t.Errorf("the record has no end of the grandchild: %v", in.Events)
	}
	doctor := tr.Bare(t, above, exe, "doctor")
	if !strings.Contains(doctor.Stdout, "has installed a listener: records have processes only") {
		t.Errorf("doctor:\n%s", doctor.Stdout)
	}
}

// Timeouts and signals go through both.
func TestNestedTimeout(t *testing.T) {
	exe := harness.Fstrace(t)
	dir := t.TempDir()
	for name, test := range map[string]struct {
		outer, inner []string
		says         string
	}{
		"outer": {[]string{"--timeout", "500ms", "--kill-after", "10m"}, nil, ""},
		"inner": {nil, []string{"--timeout", "500ms", "--kill-after", "10m"}, "sent SIGTERM; killed by SIGTERM"},
	} {
		t.Run(name, func(t *testing.T) {
			tr := &harness.Trial{Dir: dir, Flags: test.outer}
			argv := append([]string{exe, "-q", "-o", "inner"}, test.inner...)
			got, _ := tr.Traced(t, append(argv, "--", "sleep", "600")...)
			if s := harness.StatusName(got.Status); s != "SIGTERM" || !strings.Contains(got.Stderr, test.says) {
				t.Errorf("ended with %s: %s", s, got.Stderr)
			}
		})
	}
}
