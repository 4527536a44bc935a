package harness

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Lifecycles are the values of --lifecycle.
var Lifecycles = []string{"ptrace", "notify"}

// A Trial is a command that is run without fstrace and with it, in one directory.
type Trial struct {
	Dir   string
	Env   []string                  // beside the test's own
	Flags []string                  // of fstrace
	User  *syscall.Credential       // nil for the test's own user
	Stdin func() (io.Reader, error) // nil for /dev/null
}

// Bare runs the command without fstrace.
func (tr *Trial) Bare(t testing.TB, argv ...string) Outcome {
	t.Helper()
	return tr.Run(t, argv)
}

// Traced runs it with fstrace, and returns its record too.
func (tr *Trial) Traced(t testing.TB, argv ...string) (Outcome, *Record) {
	t.Helper()
	records := OpenDir(t)
	if tr.User != nil {
		if err := os.Chown(records, int(tr.User.Uid), int(tr.User.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(records, "record.jsonl")
	argv = append(append([]string{Fstrace(t), "-q", "-f", "jsonl", "-o", file}, tr.Flags...), append([]string{"--"}, argv...)...)
	got := tr.Run(t, argv)
	if _, err := os.Stat(file); err != nil {
		t.Fatalf("no record: ended with %s:\n%s%s", StatusName(got.Status), got.Stdout, got.Stderr)
	}
	return got, ReadRecord(t, file)
}

// Run runs argv as it is, in the trial's directory and environment.
func (tr *Trial) Run(t testing.TB, argv []string) Outcome {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = tr.Dir, &stdout, &stderr
	cmd.Env = append(os.Environ(), tr.Env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: tr.User, Setpgid: true}
	cmd.WaitDelay = Patience
	if tr.Stdin != nil {
		in, err := tr.Stdin()
		if err != nil {
			t.Fatal(err)
		}
		cmd.Stdin = in
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	over := time.AfterFunc(3*Patience, func() {
		t.Errorf("%q has not ended after %v", argv, 3*Patience)
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	})
	defer over.Stop()
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		t.Fatalf("%q: %v\n%s%s", argv, err, &stdout, &stderr)
	}
	return Outcome{Stdout: stdout.String(), Stderr: stderr.String(), Status: cmd.ProcessState.Sys().(syscall.WaitStatus)}
}

// Same fails the test unless two outcomes are the same to the command's caller. The
// function normal, unless nil, takes out what must differ, such as process numbers.
func Same(t testing.TB, bare, traced Outcome, normal func(string) string) {
	t.Helper()
	if normal == nil {
		normal = func(s string) string { return s }
	}
	if got, want := StatusName(traced.Status), StatusName(bare.Status); got != want {
		t.Errorf("ended with %s, bare with %s", got, want)
	}
	for _, s := range []struct{ name, bare, traced string }{
		{"standard output", bare.Stdout, traced.Stdout},
		{"standard error", bare.Stderr, traced.Stderr},
	} {
		if diff := LineDiff(Lines(normal(s.bare)), Lines(normal(s.traced))); diff != "" {
			t.Errorf("%s (-bare +traced):\n%s", s.name, diff)
		}
	}
}

// Lines splits s at its newlines.
func Lines(s string) []string { return strings.Split(s, "\n") }

// StatusName returns how a process ended: its exit status, or the name of a signal.
func StatusName(s syscall.WaitStatus) string {
	if s.Signaled() {
		return cmp.Or(unix.SignalName(s.Signal()), "SIGNAL"+strconv.Itoa(int(s.Signal())))
	}
	return strconv.Itoa(s.ExitStatus())
}

// LineDiff returns the lines from the first that differs to the last, "" if none does.
func LineDiff(want, got []string) string {
	for len(want) > 0 && len(got) > 0 && want[0] == got[0] {
		want, got = want[1:], got[1:]
	}
	for len(want) > 0 && len(got) > 0 && want[len(want)-1] == got[len(got)-1] {
		want, got = want[:len(want)-1], got[:len(got)-1]
	}
	var b strings.Builder
	for _, line := range want {
		fmt.Fprintf(&b, "- %s\n", line)
	}
	for _, line := range got {
		fmt.Fprintf(&b, "+ %s\n", line)
	}
	return b.String()
}

// An Outcome is what the caller of a command can see of it.
type Outcome struct {
	Stdout, Stderr string
	Status         syscall.WaitStatus
	Tree           map[string]string // what it left in the directory
}

// What fstrace check exits with.
const (
	ExitValid = iota
	ExitStale
	ExitCannotTell
)
