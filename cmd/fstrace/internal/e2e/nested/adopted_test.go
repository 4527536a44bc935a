package nested

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/fstrace/fstrace/testdata/harness"
)

// A process of the inner command whose parent is outside of the inner session, because it
// was adopted or made so, is in the inner record; what a subreaper outside makes itself
// is not. If nothing shows whose it is, the record says so.
func TestNestedAdopted(t *testing.T) {
	exe, adopter := harness.Fstrace(t), harness.BuildC(t, "gcc", "lifecycle/adopter")
	for _, mode := range []string{"ptrace", "notify", "notify, fixed addresses"} {
		lifecycle, _, fixed := strings.Cut(mode, ",")
		for _, reaper := range []bool{false, true} {
			for _, how := range []string{"child", "orphan", "sibling"} {
				t.Run(fmt.Sprintf("%s/reaper=%v/%s", mode, reaper, how), func(t *testing.T) {
					dir := harness.OpenDir(t)
					inside, outside := filepath.Join(dir, "inside"), filepath.Join(dir, "outside")
					harness.WriteFile(t, inside, "in\n")
					harness.WriteFile(t, outside, "out\n")
					argv := []string{exe, "-q", "-f", "jsonl", "-o", filepath.Join(dir, "inner"), "--", adopter, how, inside}
					if reaper {
						argv = append([]string{adopter, "reaper", outside}, argv...)
					}
					if fixed {
						argv = append([]string{harness.NeedTool(t, "setarch"), "-R"}, argv...)
					}
					tr := &harness.Trial{Dir: dir, Flags: []string{"--lifecycle", lifecycle}}
					got, r := tr.Traced(t, argv...)
					if got.Status != 0 {
						t.Fatalf("ended with %s:\n%s", harness.StatusName(got.Status), got.Stderr)
					}
					harness.WantComplete(t, r)
					in := harness.ReadRecord(t, filepath.Join(dir, "inner"))
					opened := func(path string) bool {
						return slices.ContainsFunc(in.Events, func(e harness.Event) bool { return e.Path == path })
					}
					var want []string
					if fixed && (how != "child" || reaper) {
						want = []string{"untraced_process"}
					}
					if reasons := harness.Distinct(in.Reasons()); !slices.Equal(reasons, want) {
						t.Errorf("incomplete for %v, want %v", in.Trailer["incomplete"], want)
					}
					if opened(outside) {
						t.Error("the inner record has what the subreaper did")
					}
					if want == nil && !opened(inside) {
						t.Error("the inner record lacks an access")
					}
				})
			}
		}
	}
}

// A process that makes its first file call when the inner session is over is known at
// that one's end.
func TestNestedUnseen(t *testing.T) {
	exe, adopter := harness.Fstrace(t), harness.BuildC(t, "gcc", "lifecycle/adopter")
	for _, lifecycle := range harness.Lifecycles {
		for _, reaper := range []bool{false, true} {
			for _, fixed := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/reaper=%v/fixed=%v", lifecycle, reaper, fixed), func(t *testing.T) {
					dir := harness.OpenDir(t)
					file := filepath.Join(dir, "file")
					harness.WriteFile(t, file, "in\n")
					argv := []string{exe, "-q", "-f", "jsonl", "-o", filepath.Join(dir, "inner"), "--", adopter, "late", file}
					if reaper {
						argv = append([]string{adopter, "reaper", file}, argv...)
					}
					want := "descendant_running"
					if fixed {
						argv = append([]string{harness.NeedTool(t, "setarch"), "-R"}, argv...)
						if lifecycle == "notify" {
							want = "untraced_process"
						}
					}
					tr := &harness.Trial{Dir: dir, Flags: []string{"--lifecycle", lifecycle, "--wait", "all"}}
					got, r := tr.Traced(t, argv...)
					if got.Status != 0 {
						t.Fatalf("ended with %s:\n%s", harness.StatusName(got.Status), got.Stderr)
					}
					harness.WantComplete(t, r)
					in := harness.ReadRecord(t, filepath.Join(dir, "inner"))
					if reasons := harness.Distinct(in.Reasons()); !slices.Equal(reasons, []string{want}) {
						t.Errorf("incomplete for %v, want %s", in.Trailer["incomplete"], want)
					}
				})
			}
		}
	}
}

// Killed, an inner fstrace takes with it also a process that has made no file call yet.
func TestNestedKilledUnseen(t *testing.T) {
	adopter := harness.BuildC(t, "gcc", "lifecycle/adopter")
	for _, lifecycle := range harness.Lifecycles {
		t.Run(lifecycle, func(t *testing.T) {
			n := startInside(t, []string{"--lifecycle", lifecycle, "--wait", "all"}, []string{"-f", "jsonl"}, "exec "+adopter+" stays kept.txt")
			harness.Eventually(t, "the command has a child", func() bool {
				data, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", n.command))
				if errors.Is(err, os.ErrNotExist) {
					t.Skip("the kernel does not list children")
				}
				return len(data) > 0
			})
			if err := syscall.Kill(n.inner, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			n.finish(t, "inner 137\n")
			kept := filepath.Join(n.dir, "kept.txt")
			if slices.ContainsFunc(n.outer.Events, func(e harness.Event) bool { return e.Path == kept }) {
				t.Error("the child has lived on")
			}
		})
	}
}
