package harness

import (
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// RealPath returns the path of a program without symbolic links.
func RealPath(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.EvalSymlinks(NeedTool(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// NeedRoot skips a test that only root can run, or fails it if CI=true.
func NeedRoot(t testing.TB, why string) {
	t.Helper()
	switch {
	case os.Getuid() == 0:
	case os.Getenv("CI") == "true":
		t.Fatalf("needs root: %s", why)
	default:
		t.Skipf("needs root: %s", why)
	}
}

// Nobody is the user of unprivileged runs.
var Nobody = &syscall.Credential{Uid: 65534, Gid: 65534}

// NeedFUSE skips a test where no FUSE server can be started.
func NeedFUSE(t *testing.T) {
	t.Helper()
	NeedRoot(t, "to mount")
	if _, err := os.Stat("/dev/fuse"); err != nil {
		t.Skip("the kernel has no FUSE")
	}
}

// StormRounds returns how often to run a storm: few times by default, FSTRACE_STRESS
// times under make stress.
func StormRounds(t *testing.T, few int) int {
	t.Helper()
	text := os.Getenv("FSTRACE_STRESS")
	if text == "" {
		return few
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("FSTRACE_STRESS: %v", err)
	}
	return n
}
