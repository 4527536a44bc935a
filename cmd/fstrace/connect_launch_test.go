package main_test

import (
	"bufio"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Signals that arrive while the daemon takes the command over: launch_signals_test.go,
// with the daemon held instead of fstrace.

// takeoverPoints are the steps at which a daemon can be held.
var takeoverPoints = []string{"before-filter", "before-seize", "before-exec"}

// holdTakeover starts fstrace --connect in a process group of its own, and returns when
// the daemon has come to the failpoint. The command makes a file, and ends with status 7.
func holdTakeover(t *testing.T, point string) (*heldLaunch, *daemon) {
	t.Helper()
	content, err := builtFstracedWithFailpoints()
	if err != nil {
		t.Fatal(err)
	}
	dir := openDir(t)
	h := &heldLaunch{ran: filepath.Join(dir, "ran"), proceed: newFIFO(t, dir, "go")}
	h.reached = newFIFO(t, dir, "reached").expectVisitor(t)
	d := startDaemonWith(t, content, nil, "FSTRACE_FAILPOINT="+point+"="+dir)
	h.session = &session{t: t, exe: fstraceBinary(t), record: filepath.Join(dir, "record")}
	h.cmd = exec.Command(h.exe, d.connect(), "-f", "jsonl", "-o", h.record, "--", "sh", "-c", `[ ! -p hold ] || read x <hold; echo >"$0"; exit 7`, h.ran)
	h.cmd.Dir = dir
	h.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdout, err := h.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	h.stdout = bufio.NewReader(stdout)
	if err := h.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if h.cmd.ProcessState == nil {
			syscall.Kill(-h.cmd.Process.Pid, syscall.SIGKILL)
			h.cmd.Wait()
		}
	})
	h.reached.await()
	return h, d
}

// A job can be stopped at each step, and goes on when it is continued.
func TestConnectStopDuringLaunch(t *testing.T) {
	needTool(t, "go")
	for _, point := range takeoverPoints {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			h, _ := holdTakeover(t, point)
			h.stop(t, unix.SIGTSTP, true)
			h.goOn(t)
			awaitStop(t, h.cmd)
			h.stop(t, unix.SIGCONT, true)
			h.endsWell(t)
		})
	}
}

// A signal ends the command before it has begun, and fstrace as well.
func TestConnectSignalDuringLaunch(t *testing.T) {
	needTool(t, "go")
	for _, point := range takeoverPoints {
		for _, to := range []string{"fstrace", "group"} {
			t.Run(point+"/"+to, func(t *testing.T) {
				t.Parallel()
				h, _ := holdTakeover(t, point)
				newFIFO(t, h.cmd.Dir, "hold") // passing a signal on takes its time
				h.send(t, unix.SIGTERM, to == "group")
				h.goOn(t)
				h.endsBy(t, unix.SIGTERM)
			})
		}
	}
}

// A daemon that is killed at a step leaves nothing of the command, which has not begun.
func TestConnectDaemonKilledDuringLaunch(t *testing.T) {
	needTool(t, "go")
	for _, point := range takeoverPoints {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			h, d := holdTakeover(t, point)
			d.kill()
			if got := h.wait(); got != "125" {
				t.Errorf("fstrace ended with %s, want 125", got)
			}
		})
	}
}
