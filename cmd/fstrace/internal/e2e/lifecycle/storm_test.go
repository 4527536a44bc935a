package lifecycle

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fstrace/fstrace/testdata/harness"
)

// TestStormThreads: eight processes with five hundred threads each. No hang, no
// lost birth or end, no lost call.
func TestStormThreads(t *testing.T) {
	exe := harness.BuildC(t, "gcc", "storm/threads", "-O1", "-pthread")
	for range harness.StormRounds(t, 2) {
		r := storm(t, "8\n", exe)
		calls := 0
		for _, e := range r.Events {
			if e.Op == "stat" && e.Path == "/etc/passwd" {
				calls++
			}
		}
		if calls != 8*500 {
			t.Errorf("%d lookups, want %d", calls, 8*500)
		}
	}
}

// TestStormNode: node starts its thread pool, whose threads' first stops come before
// their clone events often enough.
func TestStormNode(t *testing.T) {
	node := harness.NeedTool(t, "node")
	const script = `const fs = require("fs"); let n = 0;
for (let i = 0; i < 16; i++) fs.readFile("/etc/passwd", () => { if (++n == 16) console.log("ok") })`
	for range harness.StormRounds(t, 2) {
		storm(t, "ok\n", node, "-e", script)
	}
}

// storm traces a command that prints want, and checks that its record is whole.
func storm(t *testing.T, want string, argv ...string) *harness.Record {
	t.Helper()
	file := filepath.Join(t.TempDir(), "record.jsonl")
	cmd := exec.Command(harness.Fstrace(t), append([]string{"-f", "jsonl", "-o", file, "--"}, argv...)...)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	const patience = 2 * time.Minute
	hung := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	err := cmd.Wait()
	if !hung.Stop() {
		t.Fatalf("%v did not end within %v", argv, patience)
	}
	if err != nil || stdout.String() != want || stderr.Len() > 0 {
		t.Fatalf("%v: %v, printed %q and %q", argv, err, stdout.String(), stderr.String())
	}
	r := harness.ReadRecord(t, file)
	if !r.Complete() {
		t.Errorf("incomplete: %v", r.Reasons())
	}
	harness.CheckProcesses(t, r.Events)
	return r
}
