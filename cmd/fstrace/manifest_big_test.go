package main_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// peak runs a command that must succeed and returns how much memory it had at most,
// in bytes: getrusage(2). That is no less than this process has, whose memory the
// child shares until its exec.
func peak(t *testing.T, cache string, args ...string) int64 {
	t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "XDG_CACHE_HOME="+cache)
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%q: %v", args[:min(len(args), 6)], err)
	}
	return cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss << 10
}

// TestManifestLargeFile: a file of 3 GB is hashed without being held in memory.
func TestManifestLargeFile(t *testing.T) {
	if testing.Short() {
		t.Skip("short: reads 3 GB")
	}
	const size, limit = 3 << 30, 64 << 20
	fstrace := fstraceBinary(t)
	dir := openDir(t)
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

// TestManifestManyInputs: 100,000 of them, in memory that a build machine has.
func TestManifestManyInputs(t *testing.T) {
	if testing.Short() {
		t.Skip("short: makes 100,000 files")
	}
	const files, perDir, limit = 100_000, 1000, 512 << 20
	needTool(t, "find")
	fstrace := fstraceBinary(t)
	dir := openDir(t)
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
	if err := os.WriteFile(filepath.Join(tree, "77", "file77777"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := exec.Command(fstrace, "check", record).Run(); err == nil {
		t.Error("valid though one of the files has changed")
	}
}
