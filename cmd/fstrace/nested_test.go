package main_test

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// fstrace inside fstrace: the kernel allows one listener, so the outer one's record
// has everything, and the inner one's says what it lacks.
func TestNested(t *testing.T) {
	exe := fstraceBinary(t)
	const script = `cat in.txt; cat nowhere; mkdir made; (exec sh -c 'cat in.txt >&2; exit 4'); echo "status $?"; exit 3`
	for _, outer := range lifecycles {
		for _, inner := range lifecycles {
			t.Run(outer+"/"+inner, func(t *testing.T) {
				dir := t.TempDir()
				writeFile(t, filepath.Join(dir, "in.txt"), "in\n")
				made := filepath.Join(dir, "made")
				file := filepath.Join(dir, "inner.jsonl")
				argv := []string{"sh", "-c", script}
				tr := &trial{dir: dir, flags: []string{"--lifecycle", outer}}
				bare := tr.bare(t, argv...)
				if err := os.Remove(made); err != nil {
					t.Fatal(err)
				}
				traced, r := tr.traced(t, append([]string{exe, "-q", "-f", "jsonl", "--lifecycle", inner, "-o", file, "--"}, argv...)...)
				same(t, bare, traced, nil)

				wantComplete(t, r)
				checkTree(t, r, outer)
				for op, path := range map[string]string{"read": "in.txt", "create": "made"} {
					if !slices.ContainsFunc(r.Events, func(e event) bool { return e.Op == op && e.Path == filepath.Join(dir, path) }) {
						t.Errorf("the outer record has no %s of %s", op, path)
					}
				}

				in := readRecord(t, file)
				if got := distinct(in.reasons()); !slices.Equal(got, []string{"nested"}) {
					t.Errorf("the inner record is incomplete for %v, want nested", in.Trailer["incomplete"])
				}
				checkTree(t, in, inner)
				if inner == "ptrace" && !slices.ContainsFunc(in.Events, func(e event) bool { return e.Op == "exit" && e.Code == 4 }) {
					t.Errorf("the inner record has no end of the grandchild: %v", in.Events)
				}
				if end, _ := in.Trailer["exit"].(map[string]any); intField(end, "code") != 3 {
					t.Errorf("the inner record says that the command ended with %v", end)
				}
			})
		}
	}
}

// What a nested fstrace says on standard error is a sentence, not an error number.
func TestNestedSays(t *testing.T) {
	exe := fstraceBinary(t)
	dir := t.TempDir()
	tr := &trial{dir: dir}
	got, _ := tr.traced(t, exe, "-o", "inner", "--", "true")
	if !strings.HasPrefix(got.stderr, "fstrace: the record is incomplete: nested: another fstrace") ||
		strings.Count(got.stderr, "\n") != 1 || strings.Contains(got.stderr, "EBUSY") {
		t.Errorf("standard error:\n%s", got.stderr)
	}
}

// Three of them: the innermost can neither listen nor trace, and runs its command.
func TestNestedThrice(t *testing.T) {
	exe := fstraceBinary(t)
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "in.txt"), "in\n")
	tr := &trial{dir: dir, stdin: func() (io.Reader, error) { return strings.NewReader("typed\n"), nil }}
	argv := []string{"sh", "-c", `read line; echo "$line"; cat in.txt; kill -TERM $$`}
	bare := tr.bare(t, argv...)
	nest := []string{exe, "-q", "-f", "jsonl", "-o", "middle", "--", exe, "-q", "-f", "jsonl", "-o", "innermost", "--"}
	traced, r := tr.traced(t, append(nest, argv...)...)
	same(t, bare, traced, nil)
	wantComplete(t, r)
	r.opened(t, realPath(t, "cat"), filepath.Join(dir, "in.txt"))
	for file, want := range map[string][]string{"middle": {"nested"}, "innermost": {"nested", "untraced_process"}} {
		in := readRecord(t, filepath.Join(dir, file))
		if got := distinct(in.reasons()); !slices.Equal(got, want) {
			t.Errorf("%s is incomplete for %v, want %v", file, in.Trailer["incomplete"], want)
		}
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
