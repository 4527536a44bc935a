package main_test

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// traced runs a program under fstrace and returns its output and its record.
func traced(t *testing.T, program ...string) (string, *record) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "record")
	cmd := exec.Command(fstraceBinary(t), append([]string{"-q", "-f", "jsonl", "-o", file, "--"}, program...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	return string(out), readRecord(t, file)
}

// TestAttachToStopped: a stopped process that a debugger attaches to is let out, and is
// stopped when the debugger goes on.
func TestAttachToStopped(t *testing.T) {
	const rounds = "50"
	program := testProgram(t, "lifecycle/attacher")
	if out, _ := traced(t, program, rounds); out != "0 failed\n" {
		t.Errorf("%s of %s", out, rounds)
	}
}

// TestExitingChild: a child that has called exit when the command ends does not outlive
// it.
func TestExitingChild(t *testing.T) {
	const rounds = 30
	program := testProgram(t, "lifecycle/exiting")
	for range rounds {
		if _, r := traced(t, program); !r.complete() {
			t.Fatalf("incomplete: %v", r.Trailer["incomplete"])
		}
	}
}
