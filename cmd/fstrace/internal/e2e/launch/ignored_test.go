package launch

import (
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/fstrace/fstrace/testdata/harness"
)

// TestIgnoredSignals: a signal that a program ignores interrupts none of its calls,
// though its tracer sees it.
func TestIgnoredSignals(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("the kernel does not tell a tracer the first argument of a call that a signal has interrupted")
	}
	program := harness.BuildC(t, "gcc", "lifecycle/ignored", "-pthread")
	bare, err := exec.Command(program).Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, lifecycle := range []string{"ptrace", "notify"} {
		cmd := exec.Command(harness.Fstrace(t), "-q", "-o", filepath.Join(harness.OpenDir(t), "record"), "--lifecycle", lifecycle, "--", program)
		traced, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", cmd, err, traced)
		}
		if string(traced) != string(bare) {
			t.Errorf("%s:\n%s\nbare:\n%s", lifecycle, traced, bare)
		}
	}
}
