package launch

import (
	"bufio"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/fstrace/fstrace/testdata/harness"
	"golang.org/x/sys/unix"
)

// A parent that stops and continues its job again and again while fstrace launches
// the command: test runners do so when they are stopped themselves. Each launch has
// another rhythm, so that the stops fall anywhere.
func TestStormStopDuringLaunch(t *testing.T) {
	exe := harness.Fstrace(t)
	for _, lifecycle := range harness.Lifecycles {
		t.Run(lifecycle, func(t *testing.T) {
			for i := range harness.StormRounds(t, 5) {
				seed := uint64(i)
				launchUnderStops(t, exe, lifecycle, rand.New(rand.NewPCG(seed, seed)))
				if t.Failed() {
					t.Fatalf("launch %d", i)
				}
			}
		})
	}
}

// launchUnderStops starts a command that ends with 7, stops and continues its group
// until after it runs, and waits for its end.
func launchUnderStops(t *testing.T, exe, lifecycle string, random *rand.Rand) {
	t.Helper()
	dir := t.TempDir()
	ran := filepath.Join(dir, "ran")
	s := &harness.Session{T: t, Exe: exe, Record: filepath.Join(dir, "record")}
	s.Cmd = exec.Command(exe, "-f", "jsonl", "-o", s.Record, "--lifecycle", lifecycle, "--",
		"sh", "-c", `echo >"$0"; read x; exit 7`, ran)
	s.Cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	s.Cmd.Stderr = os.Stderr
	stdin, err := s.Cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := s.Cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.Stdout = bufio.NewReader(stdout)
	if err := s.Cmd.Start(); err != nil {
		t.Fatal(err)
	}
	group := -s.Cmd.Process.Pid
	t.Cleanup(func() {
		if s.Cmd.ProcessState == nil {
			syscall.Kill(group, syscall.SIGKILL)
			s.Cmd.Wait()
		}
	})
	pause := time.NewTimer(0)
	deadline := time.Now().Add(harness.Patience)
	for rest := 3; rest > 0; { // a few more when the command runs
		for _, sig := range []syscall.Signal{unix.SIGTSTP, unix.SIGCONT} {
			if err := syscall.Kill(group, sig); err != nil {
				t.Fatal(err)
			}
			<-pause.C
			pause.Reset(time.Duration(random.IntN(3000)) * time.Microsecond)
		}
		if _, err := os.Stat(ran); err == nil {
			rest--
		}
		if time.Now().After(deadline) {
			t.Fatalf("the command does not run: %v", harness.GroupStates(t, s.Cmd.Process.Pid))
		}
	}
	stdin.Close() // the last signal was SIGCONT
	over := time.AfterFunc(harness.Patience, func() {
		t.Errorf("stopped for good: %v", harness.GroupStates(t, s.Cmd.Process.Pid))
		syscall.Kill(group, syscall.SIGKILL)
	})
	got := s.Wait()
	over.Stop()
	if got != "7" {
		t.Errorf("fstrace ended with %s, want 7", got)
	}
	if r := harness.ReadRecord(t, s.Record); !r.Complete() {
		t.Errorf("trailer: %v", r.Trailer)
	}
}
