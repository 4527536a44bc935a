package programs

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fstrace/fstrace/testdata/harness"
)

// A workload is a real program's job, one that makes the same accesses in each
// run. Every run begins from the same directory at the same path, so that
// whatever differs between two of them is the tracer's doing.
type workload struct {
	name  string
	tools []string                 // looked up with needTool
	dirs  string                   // where more of them may be, and come first: a pattern of filepath.Glob
	fill  func(testing.TB, *bench) // prepares the directory, once
	argv  func(*bench) []string    // argv[0] is absolute: neither side looks it up
	env   []string                 // beside the bench's own

	stdin     string              // a file of the directory; /dev/null if empty
	unordered bool                // it prints its lines in any order, as parallel jobs do
	rootOnly  bool                // it makes no sense, or takes too long, as another user too
	normal    func(string) string // takes out of what it prints what differs from run to run
	flags     []string            // of fstrace
	differs   []string            // files whose content differs from run to run: patterns of path.Match, or DIR/**
}

// A bench is where a workload runs.
type bench struct {
	base     string // holds all of it; any user may search it
	dir      string // the workload's working directory
	pristine string // what dir is before each run
	path     string // the value of PATH
	env      []string
	user     *syscall.Credential // who runs it; nil for the test's own user
}

// newBench prepares a directory for w.
func newBench(t testing.TB, w *workload, user *syscall.Credential) *bench {
	t.Helper()
	base := harness.OpenDir(t)
	b := &bench{
		base: base, dir: filepath.Join(base, "dir"), pristine: filepath.Join(base, "pristine"),
		path: harness.StandardPath, user: user,
	}
	if dirs, _ := filepath.Glob(w.dirs); len(dirs) > 0 {
		b.path = dirs[len(dirs)-1] + ":" + b.path
	}
	for _, tool := range w.tools {
		b.addTool(t, tool)
	}
	b.env = append([]string{
		"PATH=" + b.path, "HOME=" + b.dir + "/home", "TMPDIR=" + b.dir + "/tmp", "LC_ALL=C", "TZ=UTC0",
	}, w.env...)
	harness.Mkdir(t, b.dir, filepath.Join(b.dir, "home"), filepath.Join(b.dir, "tmp"))
	if w.fill != nil {
		w.fill(t, b)
	}
	if user != nil {
		b.mustRun(t, "chown", "-R", "65534:65534", b.dir)
	}
	if err := os.Rename(b.dir, b.pristine); err != nil {
		t.Fatal(err)
	}
	return b
}

// addTool makes sure that a program is there and in the bench's PATH.
func (b *bench) addTool(t testing.TB, name string) {
	t.Helper()
	for _, dir := range filepath.SplitList(b.path) {
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil && info.Mode()&0o111 != 0 {
			return
		}
	}
	b.path += ":" + filepath.Dir(harness.NeedTool(t, name))
}

// tool returns the absolute path of a program in the bench's PATH.
func (b *bench) tool(name string) string {
	for _, dir := range filepath.SplitList(b.path) {
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil && info.Mode()&0o111 != 0 {
			return filepath.Join(dir, name)
		}
	}
	return filepath.Join(b.base, "absent", name)
}

// sh is the command line that has a shell run a script.
func sh(script string) func(*bench) []string {
	return func(*bench) []string { return []string{"/bin/sh", "-c", script} }
}

// restore makes the directory what it was before the first run.
func (b *bench) restore(t testing.TB) {
	t.Helper()
	removeAll(t, b.dir)
	b.mustRun(t, "cp", "-a", b.pristine, b.dir)
}

// mustRun runs a command of the preparation, in dir if that is there.
func (b *bench) mustRun(t testing.TB, argv ...string) {
	t.Helper()
	cmd := exec.Command(b.tool(argv[0]), argv[1:]...)
	if _, err := os.Stat(b.dir); err == nil {
		cmd.Dir = b.dir
	}
	cmd.Env = b.env
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%q: %v\n%s", argv, err, out)
	}
}

// hangs is how long a workload may take.
const hangs = 5 * time.Minute

// run restores the directory and runs argv in it.
func (b *bench) run(t testing.TB, w *workload, argv ...string) harness.Outcome {
	t.Helper()
	b.restore(t)
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = b.dir, b.env, &stdout, &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: b.user, Setpgid: true}
	cmd.WaitDelay = harness.Patience
	if w.stdin != "" {
		in, err := os.Open(filepath.Join(b.dir, w.stdin))
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		cmd.Stdin = in
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	over := time.AfterFunc(hangs, func() {
		t.Errorf("%q has not ended after %v", argv, hangs)
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	})
	defer over.Stop()
	err := cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%q: %v", argv, err)
	}
	return harness.Outcome{
		Stdout: stdout.String(), Stderr: stderr.String(),
		Status: cmd.ProcessState.Sys().(syscall.WaitStatus), Tree: harness.ReadTree(t, b.dir),
	}
}

// copyProject copies a project of testdata into the bench's directory.
func copyProject(name string) func(testing.TB, *bench) {
	return func(t testing.TB, b *bench) {
		t.Helper()
		if err := os.CopyFS(b.dir, os.DirFS(harness.Source("testdata", "projects", name))); err != nil {
			t.Fatal(err)
		}
	}
}

// removeAll removes a tree in which there may be directories that not even
// their owner may write to, as Go's module cache has.
func removeAll(t testing.TB, dir string) {
	t.Helper()
	if os.RemoveAll(dir) == nil {
		return
	}
	filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			err = os.Chmod(path, 0o755)
		}
		return err
	})
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
}

// lines makes comparable what a workload printed: sorted if it has no order of its own.
func (w *workload) lines(s string) string {
	if w.normal != nil {
		s = w.normal(s)
	}
	if !w.unordered {
		return s
	}
	return strings.Join(sortedLines(s), "\n")
}
