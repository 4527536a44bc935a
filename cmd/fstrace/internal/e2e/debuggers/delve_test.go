package debuggers

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/fstrace/fstrace/testdata/harness"
)

// delve runs a Go test to a breakpoint and to its end: a program whose threads come
// and go under the debugger.
func TestDelve(t *testing.T) {
	if os.Getenv("FSTRACE_STRESS") == "" {
		t.Skip("builds a program with every run: make stress")
	}
	dlv, err := exec.LookPath("dlv")
	if err != nil {
		t.Skipf("needs delve (go install github.com/go-delve/delve/cmd/dlv@v1.25.2): %v", err)
	}
	dir := t.TempDir()
	for name, content := range map[string]string{
		"go.mod": "module debuggee\n\ngo 1.26\n",
		"debuggee_test.go": `package debuggee

import (
	"os"
	"testing"
)

func leaf(n int) int { return n + 1 }

func TestRead(t *testing.T) {
	b, err := os.ReadFile("/etc/hostname")
	if err != nil || leaf(len(b)) == 0 {
		t.Fatal(err)
	}
}
`,
		"commands": "break debuggee.leaf\ncontinue\nbt 1\ncontinue\nquit\n",
	} {
		harness.WriteFile(t, filepath.Join(dir, name), content)
	}
	// The number of a goroutine, or of a process, is another each time.
	normal := func(s string) string {
		return digits(regexp.MustCompile(`goroutine\([0-9]+\)|Process [0-9]+`).ReplaceAllString(s, "N"))
	}
	argv := []string{dlv, "test", "--check-go-version=false", "--allow-non-terminal-interactive=true", "--init", "commands"}
	// Its telemetry outlives it.
	tr := &harness.Trial{Dir: dir, Env: []string{"NO_COLOR=1"}, Flags: []string{"--wait", "all"}}
	traceInside(t, tr, normal, argv, func(t *testing.T, got harness.Outcome, r *harness.Record) {
		if !strings.Contains(got.Stdout, "[Breakpoint 1] debuggee.leaf") || !strings.Contains(got.Stdout, "PASS") {
			t.Errorf("delve printed\n%s%s", got.Stdout, got.Stderr)
		}
		harness.WantComplete(t, r)
		if !slices.ContainsFunc(r.Events, func(e harness.Event) bool { return e.Op == "read" && e.Path == "/etc/hostname" }) {
			t.Error("the record does not have what the test read")
		}
	})
}
