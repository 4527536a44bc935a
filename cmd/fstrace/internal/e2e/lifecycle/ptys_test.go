package lifecycle

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/fstrace/fstrace/testdata/harness"
	"golang.org/x/sys/unix"
)

// Eight terminals at once, on each a program with threads that fork, linked with
// glibc or, static, with musl: all that is printed arrives, and the status is right.
func TestStormPtys(t *testing.T) {
	programs := []string{
		harness.BuildC(t, "gcc", "lifecycle/family", "-pthread"),
		harness.BuildC(t, "musl-gcc", "lifecycle/family", "-static", "-pthread"),
	}
	s := &harness.Session{T: t, Exe: harness.Fstrace(t)}
	want := familySays()
	for round := range (harness.StormRounds(t, 6) + 1) / 2 {
		dir := t.TempDir()
		var runs []*ptyRun
		for i := range 8 {
			record := filepath.Join(dir, fmt.Sprint(i))
			lifecycle := harness.Lifecycles[i/2%2]
			runs = append(runs, startOnPty(t, record, s.Exe, "-f", "jsonl", "-o", record, "--lifecycle", lifecycle, "--", programs[i%2]))
		}
		var readers sync.WaitGroup
		for _, r := range runs { // all are there: now they begin
			if _, err := r.tty.WriteString("go\n"); err != nil {
				t.Fatal(err)
			}
			readers.Go(r.finish)
		}
		readers.Wait()
		for i, r := range runs {
			if r.err != nil {
				t.Fatalf("round %d, terminal %d: %v after %q", round, i, r.err, r.output)
			}
			if diff := harness.LineDiff(want, r.lines()); diff != "" || harness.StatusName(r.status()) != "5" {
				t.Fatalf("round %d, terminal %d: ended with %s, printed (-want +got):\n%s", round, i, harness.StatusName(r.status()), diff)
			}
			if left := harness.SessionOf(t, r.cmd.Process.Pid); len(left) > 0 {
				t.Fatalf("round %d, terminal %d: %v are left", round, i, left)
			}
			record := harness.ReadRecord(t, r.record)
			harness.WantComplete(t, record)
			harness.CheckProcesses(t, record.Events)
			if starts := countOps(record, "start"); starts != 1+4*3 {
				t.Fatalf("round %d, terminal %d: %d processes, want 13:\n%+v", round, i, starts, lives(record))
			}
		}
		s.NothingLeft()
	}
}

// familySays is what testdata/lifecycle/family.c prints, in order of lines.
func familySays() []string {
	all := []string{"go", "main 1.1"} // the terminal echoes the first
	for thread := range 4 {
		for child := range 3 {
			all = append(all, fmt.Sprintf("child %d.%d", thread, child))
		}
		all = append(all, fmt.Sprintf("thread %d.%d", thread, 3*10*thread+3))
	}
	slices.Sort(all)
	return all
}

func countOps(r *harness.Record, op string) (n int) {
	for _, e := range r.Events {
		if e.Op == op && e.Syscall == "" {
			n++
		}
	}
	return n
}

// lives are the events of processes.
func lives(r *harness.Record) []harness.Event {
	return slices.DeleteFunc(slices.Clone(r.Events), func(e harness.Event) bool { return e.Syscall != "" })
}

// A ptyRun is a command on a terminal of its own, all of whose output is read.
type ptyRun struct {
	cmd    *exec.Cmd
	tty    *os.File
	record string
	output []byte
	err    error
}

func startOnPty(t *testing.T, record, name string, arg ...string) *ptyRun {
	t.Helper()
	cmd := exec.Command(name, arg...)
	blocking, err := pty.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	r := &ptyRun{cmd: cmd, tty: harness.Pollable(t, blocking), record: record}
	t.Cleanup(func() {
		r.tty.Close()
		if cmd.ProcessState == nil {
			cmd.Process.Kill()
			cmd.Wait()
		}
	})
	return r
}

// finish reads until nobody has the terminal any more, and waits for the command.
func (r *ptyRun) finish() {
	if r.err = r.tty.SetReadDeadline(time.Now().Add(3 * harness.Patience)); r.err != nil {
		return
	}
	r.output, r.err = io.ReadAll(r.tty)
	if !errors.Is(r.err, unix.EIO) { // a terminal's end of file: pty(7)
		return
	}
	r.err = nil
	r.cmd.Wait() // it closed the terminal only by ending
	r.tty.Close()
}

func (r *ptyRun) status() syscall.WaitStatus { return r.cmd.ProcessState.Sys().(syscall.WaitStatus) }

// lines are those that were printed, sorted.
func (r *ptyRun) lines() []string {
	all := strings.Split(strings.TrimSuffix(string(r.output), "\r\n"), "\r\n")
	slices.Sort(all)
	return all
}
