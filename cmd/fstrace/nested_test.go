package main_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
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
		writeFile(t, filepath.Join(work, name), name+"\n")
		if err := os.Chmod(filepath.Join(work, name), 0o666); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(filepath.Join(work, name), long, long); err != nil {
			t.Fatal(err)
		}
	}
	return work
}

// did lists what a record has, each different event once, without numbers and times.
func (r *record) did() []string {
	var list []string
	for i := range r.Events {
		e := r.Events[i]
		e.Seq, e.PID, e.TID, e.PPID = 0, 0, 0, 0
		list = append(list, fmt.Sprintf("%+v", e))
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// sameRecord fails the test unless two records are of the same run.
func sameRecord(t *testing.T, name string, alone, inner *record) {
	t.Helper()
	wantComplete(t, inner)
	if diff := lineDiff(alone.did(), inner.did()); diff != "" {
		t.Errorf("%s (-alone +inside of another):\n%s", name, diff)
	}
	if a, b := fmt.Sprint(alone.Trailer["exit"], alone.Trailer["counts"]), fmt.Sprint(inner.Trailer["exit"], inner.Trailer["counts"]); a != b {
		t.Errorf("%s ends with %s, alone with %s", name, b, a)
	}
}

// fstrace inside fstrace: the record of the inner one is what it is alone.
func TestNested(t *testing.T) {
	exe := fstraceBinary(t)
	for _, outer := range lifecycles {
		for _, inner := range lifecycles {
			t.Run(outer+"/"+inner, func(t *testing.T) {
				dir := openDir(t)
				file := filepath.Join(dir, "inner.jsonl")
				argv := []string{"sh", "-c", nestedWork}
				tr := &trial{dir: nestedDir(t, dir), flags: []string{"--lifecycle", inner}}
				bare := tr.bare(t, argv...)
				nestedDir(t, dir)
				_, alone := tr.traced(t, argv...)
				nestedDir(t, dir)
				tr.flags = []string{"--lifecycle", outer}
				traced, r := tr.traced(t, append([]string{exe, "-f", "jsonl", "--lifecycle", inner, "-o", file, "--"}, argv...)...)
				same(t, bare, traced, nil)
				wantComplete(t, r)
				checkTree(t, r, outer)
				in := readRecord(t, file)
				checkTree(t, in, outer)
				if outer == inner {
					sameRecord(t, "inner", alone, in)
					return
				}
				wantComplete(t, in) // processes are seen as the outer one sees them
				accesses := func(r *record) *record {
					return &record{Events: slices.DeleteFunc(slices.Clone(r.Events), func(e event) bool { return e.Syscall == "" })}
				}
				if diff := lineDiff(accesses(alone).did(), accesses(in).did()); diff != "" {
					t.Errorf("accesses (-alone +inside of another):\n%s", diff)
				}
			})
		}
	}
}

// Three of them, one inside of another: each has the record that it would have alone.
func TestNestedThrice(t *testing.T) {
	exe := fstraceBinary(t)
	dir := openDir(t)
	tr := &trial{dir: nestedDir(t, dir), stdin: func() (io.Reader, error) { return strings.NewReader("typed\n"), nil }}
	argv := []string{"sh", "-c", `read line; echo "$line"; cat in.txt > out; kill -TERM $$`}
	inside := func(name string, argv []string) []string {
		return append([]string{exe, "-f", "jsonl", "-o", filepath.Join(dir, name), "--"}, argv...)
	}
	bare := tr.bare(t, argv...)
	nestedDir(t, dir)
	_, alone := tr.traced(t, argv...)
	nestedDir(t, dir)
	traced, r := tr.traced(t, inside("middle", inside("innermost", argv))...)
	same(t, bare, traced, nil)
	wantComplete(t, r)
	r.opened(t, realPath(t, "cat"), filepath.Join(dir, "work", "in.txt"))
	sameRecord(t, "innermost", alone, readRecord(t, filepath.Join(dir, "innermost")))
	middle := readRecord(t, filepath.Join(dir, "middle"))
	wantComplete(t, middle)
	checkTree(t, middle, "ptrace")
	middle.opened(t, realPath(t, "cat"), filepath.Join(dir, "work", "in.txt"))
	if len(middle.Events) <= len(alone.Events) {
		t.Errorf("the middle record has %d events, the innermost %d", len(middle.Events), len(alone.Events))
	}
}

// Below a listener that is no fstrace's, an inner one knows of processes only. What it
// says on standard error is a sentence, not an error number.
func TestNestedElsewhere(t *testing.T) {
	exe := fstraceBinary(t)
	above := testProgram(t, "incomplete/listener")
	dir := openDir(t)
	file := filepath.Join(dir, "inner.jsonl")
	tr := &trial{dir: nestedDir(t, dir)}
	argv := []string{"sh", "-c", nestedWork}
	bare := tr.bare(t, argv...)
	nestedDir(t, dir)
	got := tr.bare(t, append([]string{above, exe, "-f", "jsonl", "-o", file, "--"}, argv...)...)
	said := got.stderr
	got.stderr = bare.stderr
	same(t, bare, got, nil)
	if !strings.Contains(said, "fstrace: the record is incomplete: nested: another fstrace") || strings.Contains(said, "EBUSY") {
		t.Errorf("standard error:\n%s", said)
	}
	in := readRecord(t, file)
	if got := distinct(in.reasons()); !slices.Equal(got, []string{"nested"}) {
		t.Errorf("the record is incomplete for %v, want nested", in.Trailer["incomplete"])
	}
	checkTree(t, in, "ptrace")
	if !slices.ContainsFunc(in.Events, func(e event) bool { return e.Op == "exit" && e.Code == 4 }) {
		t.Errorf("the record has no end of the grandchild: %v", in.Events)
	}
	doctor := tr.bare(t, above, exe, "doctor")
	if !strings.Contains(doctor.stdout, "has installed a listener: records have processes only") {
		t.Errorf("doctor:\n%s", doctor.stdout)
	}
}

// Timeouts and signals go through both.
func TestNestedTimeout(t *testing.T) {
	exe := fstraceBinary(t)
	dir := t.TempDir()
	for name, test := range map[string]struct {
		outer, inner []string
		says         string
	}{
		"outer": {[]string{"--timeout", "500ms", "--kill-after", "10m"}, nil, ""},
		"inner": {nil, []string{"--timeout", "500ms", "--kill-after", "10m"}, "sent SIGTERM; killed by SIGTERM"},
	} {
		t.Run(name, func(t *testing.T) {
			tr := &trial{dir: dir, flags: test.outer}
			argv := append([]string{exe, "-q", "-o", "inner"}, test.inner...)
			got, _ := tr.traced(t, append(argv, "--", "sleep", "600")...)
			if s := statusName(got.status); s != "SIGTERM" || !strings.Contains(got.stderr, test.says) {
				t.Errorf("ended with %s: %s", s, got.stderr)
			}
		})
	}
}
