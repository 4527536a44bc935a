package harness

import (
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
)

// An Executable is a program of cmd, built as the Makefile builds it: once in each test
// process. It is kept in memory, so that no file outlives the tests.
type Executable struct {
	name  string
	built func() ([]byte, error)
}

// The programs under test. Those with failpoints can be held at a named step
// (tracer/internal/failpoint).
var (
	fstrace               = executable("fstrace")
	FstraceWithFailpoints = executable("fstrace", "-tags=failpoints")
	// FstraceEager has each process record its calls from the first that it can.
	FstraceEager           = executable("fstrace", "-tags=eagerrecorder")
	FstraceCache           = executable("fstrace-cache")
	Fstraced               = executable("fstraced")
	FstracedWithFailpoints = executable("fstraced", "-tags=failpoints")
)

func executable(name string, flags ...string) *Executable {
	return &Executable{name, sync.OnceValues(func() ([]byte, error) {
		dir, err := os.MkdirTemp("", "fstrace-build-")
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(dir)
		exe := filepath.Join(dir, name)
		ldflags := "-ldflags=-E=fstrace_entry"
		switch os.Getenv("FSTRACE_TEST_RECORDER") {
		case "auto": // every test, with the recorder
			ldflags += " -X main.defaultRecorder=auto"
		case "eager": // the same, from the first call of each process
			ldflags += " -X main.defaultRecorder=auto"
			flags = append(slices.Clone(flags), "-tags=failpoints,eagerrecorder")
		}
		args := append([]string{"build", "-trimpath", ldflags, "-o", exe}, flags...)
		build := exec.Command("go", append(args, "github.com/fstrace/fstrace/cmd/"+name)...)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("go build: %w\n%s", err, out)
		}
		return os.ReadFile(exe)
	})}
}

// Install writes the program to a directory, and returns its path.
func (e *Executable) Install(t testing.TB, dir string) string {
	t.Helper()
	NeedTool(t, "go")
	content, err := e.built()
	if err != nil {
		t.Fatal(err)
	}
	exe := filepath.Join(dir, e.name)
	WriteExecutable(t, exe, content)
	return exe
}

// Fstrace returns the path of fstrace, in a directory that any user may search. The
// directory is removed after the test.
func Fstrace(t testing.TB) string {
	t.Helper()
	return fstrace.Install(t, OpenDir(t))
}

// WriteExecutable writes a program that can be executed at once. A child that is forked
// meanwhile would hold the file open for writing until its own exec, and the exec of the
// file would fail with ETXTBSY.
func WriteExecutable(t testing.TB, path string, content []byte) {
	t.Helper()
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := os.WriteFile(path, content, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o755); err != nil { // whatever the umask
		t.Fatal(err)
	}
}

// BuildC builds testdata/NAME.c with a C compiler, in a directory that any user may
// search and that is removed after the test.
func BuildC(t testing.TB, compiler, name string, flags ...string) string {
	t.Helper()
	exe := filepath.Join(OpenDir(t), path.Base(name))
	args := append([]string{"-Wall", "-Wextra", "-g", "-o", exe, Source("testdata", name+".c")}, flags...)
	if out, err := exec.Command(NeedTool(t, compiler), args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v\n%s", compiler, args, err, out)
	}
	return exe
}
