package launch

import (
	"bufio"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/fstrace/fstrace/testdata/harness"
	"golang.org/x/sys/unix"
)

// Signals that arrive while the daemon takes the command over: as in signals_test.go, but
// the daemon is held instead of fstrace.

// takeoverPoints are the steps at which a daemon can be held.
var takeoverPoints = []string{"before-filter", "before-seize", "before-exec"}

// holdTakeover starts fstrace --connect in a process group of its own, and returns when
// the daemon has come to the failpoint. The command makes a file, and ends with status 7.
func holdTakeover(t *testing.T, point string) (*heldLaunch, *harness.Daemon) {
	t.Helper()
	dir := harness.OpenDir(t)
	h := &heldLaunch{ran: filepath.Join(dir, "ran"), proceed: harness.NewFIFO(t, dir, "go")}
	h.reached = harness.NewFIFO(t, dir, "reached").ExpectVisitor(t)
	d := harness.StartDaemonWith(t, harness.FstracedWithFailpoints, nil, "FSTRACE_FAILPOINT="+point+"="+dir)
	h.Session = &harness.Session{T: t, Exe: harness.Fstrace(t), Record: filepath.Join(dir, "record")}
	h.Cmd = exec.Command(h.Exe, d.Connect(), "-f", "jsonl", "-o", h.Record, "--", "sh", "-c", `[ ! -p hold ] || read x <hold; echo >"$0"; exit 7`, h.ran)
	h.Cmd.Dir = dir
	h.Cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdout, err := h.Cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	h.Stdout = bufio.NewReader(stdout)
	if err := h.Cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if h.Cmd.ProcessState == nil {
			syscall.Kill(-h.Cmd.Process.Pid, syscall.SIGKILL)
			h.Cmd.Wait()
		}
	})
	h.reached.Await()
	return h, d
}

// A job can be stopped at each step, and goes on when it is continued.
func TestConnectStopDuringLaunch(t *testing.T) {
	harness.NeedTool(t, "go")
	for _, point := range takeoverPoints {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			h, _ := holdTakeover(t, point)
			h.stop(t, unix.SIGTSTP, true)
			h.goOn(t)
			harness.AwaitStop(t, h.Cmd)
			h.stop(t, unix.SIGCONT, true)
			h.endsWell(t)
		})
	}
}

// A signal ends the command before it has begun, and fstrace as well.
func TestConnectSignalDuringLaunch(t *testing.T) {
	harness.NeedTool(t, "go")
	for _, point := range takeoverPoints {
		for _, to := range []string{"fstrace", "group"} {
			t.Run(point+"/"+to, func(t *testing.T) {
				t.Parallel()
				h, _ := holdTakeover(t, point)
				harness.NewFIFO(t, h.Cmd.Dir, "hold") // passing a signal on takes its time
				h.send(t, unix.SIGTERM, to == "group")
				h.goOn(t)
				h.endsBy(t, unix.SIGTERM)
			})
		}
	}
}

// A daemon that is killed at a step leaves nothing of the command, which has not begun.
func TestConnectDaemonKilledDuringLaunch(t *testing.T) {
	harness.NeedTool(t, "go")
	for _, point := range takeoverPoints {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			h, d := holdTakeover(t, point)
			d.Kill()
			if got := h.Wait(); got != "125" {
				t.Errorf("fstrace ended with %s, want 125", got)
			}
		})
	}
}
