package nested

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fstrace/fstrace/testdata/harness"
)

// manifestFacts lists what a manifest says of files, one line each.
func manifestFacts(t *testing.T, file string) (list []string, complete bool) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(data, &m); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"inputs", "outputs", "temporary", "modified", "removed", "renamed", "external", "incomplete"} {
		entries, _ := m[key].([]any)
		for _, e := range entries {
			if entry, ok := e.(map[string]any); ok {
				delete(entry, "told") // times
			}
			b, err := json.Marshal(e)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, fmt.Sprintf("%s %s", key, b))
		}
	}
	slices.Sort(list)
	return list, m["complete"] == true
}

// The manifest of an inner fstrace is what it is alone, however deep, with a daemon and
// without: what files held before the command changed them is in it.
func TestNestedManifest(t *testing.T) {
	exe := harness.Fstrace(t)
	d := harness.StartDaemon(t)
	ways := map[string][]string{"embedded": nil, "connected": {d.Connect()}}
	for _, outer := range []string{"embedded", "connected"} {
		for _, inner := range []string{"embedded", "connected"} {
			for _, depth := range []int{1, 2} {
				t.Run(fmt.Sprintf("%s/%s/%d", outer, inner, depth), func(t *testing.T) {
					dir := harness.OpenDir(t)
					tr := &harness.Trial{Env: []string{"XDG_CACHE_HOME=" + filepath.Join(dir, "cache")}}
					file := filepath.Join(dir, "manifest")
					run := func(argv ...string) {
						t.Helper()
						tr.Dir = nestedDir(t, dir)
						got := tr.Run(t, argv)
						if s := harness.StatusName(got.Status); got.Status.ExitStatus() != 3 {
							t.Fatalf("ended with %s:\n%s", s, got.Stderr)
						}
					}
					command := []string{"sh", "-c", nestedWork}
					with := func(way string, argv []string, flags ...string) []string {
						all := append([]string{exe, "-q"}, ways[way]...)
						return append(append(append(all, flags...), "--"), argv...)
					}
					alone := with(inner, command, "-f", "manifest", "-o", file)
					run(alone...)
					want, complete := manifestFacts(t, file)
					if !complete {
						t.Fatalf("incomplete alone: %v", want)
					}
					argv := alone
					for i := range depth {
						argv = with(outer, argv, "-f", "jsonl", "-o", filepath.Join(dir, fmt.Sprint("outer", i)))
					}
					run(argv...)
					got, complete := manifestFacts(t, file)
					if diff := harness.LineDiff(want, got); diff != "" || !complete {
						t.Errorf("complete: %v (-alone +inside of another):\n%s", complete, diff)
					}
					for i := range depth {
						harness.WantComplete(t, harness.ReadRecord(t, filepath.Join(dir, fmt.Sprint("outer", i))))
					}
				})
			}
		}
	}
}

// That an inner fstrace writes to the cache of hashes of the outer one is no output of
// the command. Who else reads that reads a file, which changes.
func TestNestedCache(t *testing.T) {
	exe := harness.Fstrace(t)
	for script, want := range map[string][]string{
		`"$@"`:                    nil,
		`"$@" && head -c 10 "$0"`: {"incomplete", "inputs"},
	} {
		dir := harness.OpenDir(t)
		cache := filepath.Join(dir, "cache")
		tr := &harness.Trial{Dir: nestedDir(t, dir), Env: []string{"XDG_CACHE_HOME=" + cache}}
		outer := filepath.Join(dir, "outer")
		got := tr.Run(t, []string{
			exe, "-q", "-f", "manifest", "-o", outer, "--", "sh", "-c", script, filepath.Join(cache, "fstrace/sums-3"),
			exe, "-q", "-f", "manifest", "-o", "inner", "--", "cat", "in.txt",
		})
		if got.Status != 0 {
			t.Fatalf("%s: ended with %s:\n%s", script, harness.StatusName(got.Status), got.Stderr)
		}
		facts, complete := manifestFacts(t, outer)
		var says []string
		for _, f := range facts {
			if strings.Contains(f, "/sums-3") {
				kind, _, _ := strings.Cut(f, " ")
				says = append(says, kind)
			}
		}
		if !slices.Equal(says, want) || complete != (want == nil) {
			t.Errorf("%s: the cache is among %q, want %q; complete: %v", script, says, want, complete)
		}
	}
}
