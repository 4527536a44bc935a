package programs

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fstrace/fstrace/testdata/harness"
)

// pythonTests are those of the standard library's own tests that are about
// processes, signals and terminals.
var pythonTests = []string{
	"test_subprocess", "test_os", "test_posix", "test_signal", "test_threading", "test_pty", "test_fork1",
}

// TestPythonTests: each of them ends in a trace as it does outside.
func TestPythonTests(t *testing.T) {
	if os.Getenv("FSTRACE_STRESS") == "" {
		t.Skip("takes minutes: make stress")
	}
	python := needPythonTests(t)
	exe, dir := harness.Fstrace(t), harness.OpenDir(t)
	bare := runPythonTests(t, dir, "bare", python)
	record := filepath.Join(dir, "record")
	traced := runPythonTests(t, dir, "traced", exe, "-q", "-f", "jsonl", "-o", record, "--", python)
	t.Logf("bare: %v; traced: %v", tally(bare), tally(traced))
	if len(bare) < 500 {
		t.Errorf("only %d tests ran", len(bare))
	}
	names := maps.Clone(bare)
	maps.Copy(names, traced)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if bare[name] != traced[name] {
			t.Errorf("%s: %q bare, %q traced", name, bare[name], traced[name])
		}
	}
	harness.ReadRecord(t, record) // fails if it is not whole
}

// needPythonTests returns a python that has the package test, which Debian's own
// leaves out.
func needPythonTests(t *testing.T) string {
	t.Helper()
	out, err := exec.Command(harness.NeedTool(t, "python3"), "-c",
		"import sys, test.test_subprocess, test.libregrtest; print(sys.executable, end='')").Output()
	if err != nil {
		t.Skipf("python3 has no package test: %v", err)
	}
	return string(out)
}

// runPythonTests runs the tests and returns how each of them ended.
func runPythonTests(t *testing.T, dir, name string, argv ...string) map[string]string {
	t.Helper()
	work := filepath.Join(dir, name)
	if err := os.Mkdir(work, 0o755); err != nil {
		t.Fatal(err)
	}
	results := filepath.Join(dir, name+".xml")
	ctx, cancel := context.WithTimeout(t.Context(), 25*time.Minute)
	defer cancel()
	argv = append(append(argv, "-m", "test", "--junit-xml", results), pythonTests...)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = work
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "TMPDIR="+work)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &output, &output, harness.Patience
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && (!errors.As(err, &exit) || ctx.Err() != nil) {
		t.Fatalf("%q: %v\n%s", argv, err, &output)
	}
	f, err := os.Open(results)
	if err != nil {
		t.Fatalf("%v\n%s", err, &output)
	}
	defer f.Close()
	all, err := pythonResults(f)
	if err != nil {
		t.Fatalf("%s: %v", results, err)
	}
	return all
}

// pythonResults reads what regrtest writes with --junit-xml.
func pythonResults(r io.Reader) (map[string]string, error) {
	type reason struct {
		Message string `xml:"message,attr"`
	}
	var report struct {
		Suites []struct {
			Cases []struct {
				Name    string  `xml:"name,attr"`
				Failure *reason `xml:"failure"`
				Error   *reason `xml:"error"`
				Skipped *string `xml:"skipped"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.NewDecoder(r).Decode(&report); err != nil {
		return nil, err
	}
	all := make(map[string]string)
	for _, suite := range report.Suites {
		for _, c := range suite.Cases {
			result := "passed"
			switch {
			case c.Failure != nil, c.Error != nil:
				result = "failed"
			case c.Skipped != nil:
				result = "skipped: " + *c.Skipped
			}
			all[c.Name] = result
		}
	}
	return all, nil
}

// tally counts results.
func tally(results map[string]string) string {
	n := make(map[string]int)
	for _, result := range results {
		kind, _, _ := strings.Cut(result, ":")
		n[kind]++
	}
	return fmt.Sprintf("%d passed, %d failed, %d skipped", n["passed"], n["failed"], n["skipped"])
}
