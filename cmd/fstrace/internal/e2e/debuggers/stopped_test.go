package debuggers

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/fstrace/fstrace/testdata/harness"
)

// traced runs a program under fstrace and returns its output and its record.
func traced(t *testing.T, program ...string) (string, *harness.Record) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "record")
	cmd := exec.Command(harness.Fstrace(t), append([]string{"-q", "-f", "jsonl", "-o", file, "--"}, program...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	return string(out), harness.ReadRecord(t, file)
}

// TestAttachToStopped: a stopped process that a debugger attaches to is released, and is
// stopped when the debugger goes on.
func TestAttachToStopped(t *testing.T) {
	const rounds = "50"
	program := harness.BuildC(t, "gcc", "lifecycle/attacher", "-pthread")
	if out, _ := traced(t, program, rounds); out != "0 failed\n" {
		t.Errorf("%s of %s", out, rounds)
	}
}

// TestExitingChild: a child that has called exit when the command ends does not outlive
// it.
func TestExitingChild(t *testing.T) {
	const rounds = 30
	program := harness.BuildC(t, "gcc", "lifecycle/exiting", "-pthread")
	for range rounds {
		if _, r := traced(t, program); !r.Complete() {
			t.Fatalf("incomplete: %v", r.Trailer["incomplete"])
		}
	}
}
