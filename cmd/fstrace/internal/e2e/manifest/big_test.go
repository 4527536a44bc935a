package manifest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fstrace/fstrace/testdata/harness"
)

// peak runs a command that must succeed and returns how much memory it had at most,
// in bytes: VmHWM of proc_pid_status(5), as last seen. What wait4(2) tells is no less
// than what this process has, whose memory the child shares until its exec.
func peak(t *testing.T, cache string, args ...string) int64 {
	t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "XDG_CACHE_HOME="+cache)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	proc, most := fmt.Sprintf("/proc/%d/", cmd.Process.Pid), int64(0)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		if exe, err := os.Readlink(proc + "exe"); err == nil && exe == args[0] {
			most = max(most, highWater(proc+"status"))
		}
		select {
		case err := <-ended:
			if err != nil {
				t.Fatalf("%q: %v", args[:min(len(args), 6)], err)
			}
			if most == 0 {
				t.Fatalf("%q: ended before its memory could be seen", args[:min(len(args), 6)])
			}
			return most
		case <-tick.C:
		}
	}
}

// highWater reads VmHWM from a status file, 0 if it is not there.
func highWater(file string) int64 {
	data, _ := os.ReadFile(file)
	for line := range strings.Lines(string(data)) {
		var kilobytes int64
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &kilobytes); err == nil {
			return kilobytes << 10
		}
	}
	return 0
}

// TestManifestLargeFile: a file of 3 GB is hashed without being held in memory.
func TestManifestLargeFile(t *testing.T) {
	if testing.Short() {
		t.Skip("short: reads 3 GB")
	}
	const size, limit = 3 << 30, 64 << 20
	fstrace := harness.Fstrace(t)
	dir := harness.OpenDir(t)
	file, record, cache := filepath.Join(dir, "large"), filepath.Join(dir, "m.json"), filepath.Join(dir, "cache")
	if err := os.WriteFile(file, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, size); err != nil { // sparse: it takes no room
		t.Fatal(err)
	}
	if n := peak(t, cache, fstrace, "-f", "manifest", "-o", record, "--", "head", "-c", "1", file); n > limit {
		t.Errorf("recording took %d MB", n>>20)
	}
	if n := peak(t, cache, fstrace, "check", record); n > limit {
		t.Errorf("checking took %d MB", n>>20)
	}
	if err := os.WriteFile(file, []byte("y"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := exec.Command(fstrace, "check", record).Run(); err == nil {
		t.Error("valid though the file has changed")
	}
}

// TestManifestManyInputs: 100,000 of them, in memory that a build machine has; a
// fifth, but for make stress.
func TestManifestManyInputs(t *testing.T) {
	if testing.Short() {
		t.Skip("short: makes 20,000 files")
	}
	files, limit := 20_000, int64(128<<20)
	if os.Getenv("FSTRACE_STRESS") != "" {
		files, limit = 100_000, 512<<20
	}
	const perDir = 1000
	harness.NeedTool(t, "find")
	fstrace := harness.Fstrace(t)
	dir := harness.OpenDir(t)
	tree, record, cache := filepath.Join(dir, "tree"), filepath.Join(dir, "m.json"), filepath.Join(dir, "cache")
	for i := range files {
		sub := filepath.Join(tree, fmt.Sprint(i/perDir))
		if i%perDir == 0 {
			if err := os.MkdirAll(sub, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(sub, fmt.Sprint("file", i)), []byte(fmt.Sprintln(i)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if n := peak(t, cache, fstrace, "-f", "manifest", "-o", record, "--", "find", tree, "-type", "f", "-exec", "cat", "{}", "+"); n > limit {
		t.Errorf("recording took %d MB", n>>20)
	}
	if n := peak(t, cache, fstrace, "check", record); n > limit {
		t.Errorf("checking took %d MB", n>>20)
	}
	if err := os.WriteFile(filepath.Join(tree, "7", "file7777"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := exec.Command(fstrace, "check", record).Run(); err == nil {
		t.Error("valid though one of the files has changed")
	}
}
