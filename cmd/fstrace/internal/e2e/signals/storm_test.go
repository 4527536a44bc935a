package signals

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/fstrace/fstrace/testdata/harness"
)

// TestStormSignals: signals that come while a program makes file calls arrive all, once
// each and in order, and interrupt none of the calls, though the program's handlers were
// installed without SA_RESTART.
func TestStormSignals(t *testing.T) {
	const count = 2000
	program := harness.BuildC(t, "gcc", "lifecycle/signals", "-O1")
	record := filepath.Join(harness.OpenDir(t), "record")
	cmd := exec.Command(harness.Fstrace(t), "-q", "-f", "jsonl", "-o", record, "--", program, fmt.Sprint(count))
	out, err := cmd.Output()
	want := fmt.Sprintf("standard %d ordered %[1]d wrong 0 interrupted 0 failed 0\n", count)
	if err != nil || string(out) != want {
		t.Errorf("%s: %v, printed %q, want %q", cmd, err, out, want)
	}
	if r := harness.ReadRecord(t, record); !r.Complete() {
		t.Errorf("incomplete: %v", r.Reasons())
	}
}
