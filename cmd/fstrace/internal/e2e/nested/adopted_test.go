package nested

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"github.com/fstrace/fstrace/testdata/harness"
)

// A process of the inner command whose parent is outside of the inner session, because it
// was adopted or made so, is in the inner record, or that says what it may miss. What a
// subreaper outside makes itself is neither.
func TestNestedAdopted(t *testing.T) {
	exe, adopter := harness.Fstrace(t), harness.BuildC(t, "gcc", "lifecycle/adopter")
	for _, lifecycle := range harness.Lifecycles {
		for _, reaper := range []bool{false, true} {
			for _, how := range []string{"child", "orphan", "sibling"} {
				t.Run(fmt.Sprintf("%s/reaper=%v/%s", lifecycle, reaper, how), func(t *testing.T) {
					dir := harness.OpenDir(t)
					inside, outside := filepath.Join(dir, "inside"), filepath.Join(dir, "outside")
					harness.WriteFile(t, inside, "in\n")
					harness.WriteFile(t, outside, "out\n")
					argv := []string{exe, "-q", "-f", "jsonl", "-o", filepath.Join(dir, "inner"), "--", adopter, how, inside}
					if reaper {
						argv = append([]string{adopter, "reaper", outside}, argv...)
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
					if opened(outside) {
						t.Error("the inner record has what the subreaper did")
					}
					var want []string // with ptrace it is known who has made a process
					if lifecycle == "notify" && how != "child" {
						want = []string{"untraced_process"}
					}
					if reasons := harness.Distinct(in.Reasons()); !slices.Equal(reasons, want) {
						t.Errorf("incomplete for %v, want %v", in.Trailer["incomplete"], want)
					}
					if want == nil && !opened(inside) {
						t.Error("the inner record lacks an access")
					}
				})
			}
		}
	}
}
