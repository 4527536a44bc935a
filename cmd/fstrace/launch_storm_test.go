package main_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A parent that stops and continues its job again and again while fstrace launches
// the command: test runners do so when they are stopped themselves. Each launch has
// another rhythm, so that the stops fall anywhere.
func TestStormStopDuringLaunch(t *testing.T) {
	exe := fstraceBinary(t)
	for _, lifecycle := range lifecycles {
		t.Run(lifecycle, func(t *testing.T) {
			for i := range stormRounds(t, 5) {
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
	s := &session{t: t, exe: exe, record: filepath.Join(dir, "record")}
	s.cmd = exec.Command(exe, "-f", "jsonl", "-o", s.record, "--lifecycle", lifecycle, "--",
		"sh", "-c", `echo >"$0"; read x; exit 7`, ran)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	s.cmd.Stderr = os.Stderr
	stdin, err := s.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.stdout = bufio.NewReader(stdout)
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	group := -s.cmd.Process.Pid
	t.Cleanup(func() {
		if s.cmd.ProcessState == nil {
			syscall.Kill(group, syscall.SIGKILL)
			s.cmd.Wait()
		}
	})
	pause := time.NewTimer(0)
	deadline := time.Now().Add(patience)
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
			t.Fatalf("the command does not run: %v", groupStates(t, s.cmd.Process.Pid))
		}
	}
	stdin.Close() // the last signal was SIGCONT
	over := time.AfterFunc(patience, func() {
		t.Errorf("stopped for good: %v", groupStates(t, s.cmd.Process.Pid))
		syscall.Kill(group, syscall.SIGKILL)
	})
	got := s.wait()
	over.Stop()
	if got != "7" {
		t.Errorf("fstrace ended with %s, want 7", got)
	}
	if r := readRecord(t, s.record); !r.complete() {
		t.Errorf("trailer: %v", r.Trailer)
	}
}

// groupStates tells what the processes of a group do.
func groupStates(t *testing.T, group int) (all []string) {
	t.Helper()
	for _, p := range processes(t) {
		if p.group == group {
			all = append(all, fmt.Sprintf("%d %c %s", p.pid, p.state, p.exe))
		}
	}
	return all
}
