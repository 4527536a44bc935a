package commandline

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/fstrace/fstrace/testdata/harness"
)

// TestBenchSmoke: the program behind make bench measures something of each kind, says
// so in a document, and leaves nothing behind. What it measures is not looked at.
func TestBenchSmoke(t *testing.T) {
	harness.NeedTool(t, "gcc")
	harness.NeedTool(t, "git")
	harness.NeedTool(t, "strace")
	file, temporary := filepath.Join(t.TempDir(), "benchmarks.md"), t.TempDir()
	bench := exec.Command(harness.NeedTool(t, "go"), "run", "github.com/fstrace/fstrace/testdata/bench", "-fstrace", harness.Fstrace(t),
		"-run", "call/stat/|spawn|launch|work/git|memory/events/jsonl", "-count", "1", "-scale", "0.01", "-o", file)
	bench.Env = append(os.Environ(), "CGO_ENABLED=0", "TMPDIR="+temporary)
	if out, err := bench.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	const number = ` \| -?[0-9.]+`
	for _, row := range []string{
		"stat, 1 thread(" + number + "){8}", "stat, 4 threads(" + number + "){8}", "stat, 4 processes(" + number + "){8}",
		"spawn(" + number + "){9}",
		"fstrace(" + number + "){5}",
		"strace(" + number + "){5}",
		"2 commands(" + number + "){9}",
		"`git status, 15,000 files`(" + number + "){9}",
		"jsonl(" + number + "){3}",
		`spawn of /bin/true, of bare \| ≤ 1.45` + number + ` \| (met|\*\*not met\*\*)`,
	} {
		if !regexp.MustCompile(`(?m)^\| ` + row + ` \|$`).Match(content) {
			t.Errorf("no row %s", row)
		}
	}
	if strings.Contains(string(content), "NaN") {
		t.Error("a number that is none")
	}
	if t.Failed() {
		t.Logf("%s", content)
	}
	left, err := os.ReadDir(temporary)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
