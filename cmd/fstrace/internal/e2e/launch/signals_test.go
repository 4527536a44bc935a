// Package launch tests what happens while a command is being launched.
package launch

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fstrace/fstrace/testdata/harness"
	"golang.org/x/sys/unix"
)

// Signals that arrive while the command is being launched. A program built with
// the tag failpoints holds its launch at a named step until the test lets it go on
// (tracer/internal/failpoint): the order of events is forced, not hoped for.

// failpoints are the steps at which a launch can be held: before the shim is started,
// before it learns what to run and installs the filter, before it is traced, before it
// may exec, and before its exec is followed.
var failpoints = []string{"before-shim", "before-filter", "before-seize", "before-exec", "before-follow"}

// A heldLaunch is a session whose launch waits at a failpoint.
type heldLaunch struct {
	*harness.Session
	ran     string // a file that the command makes first of all
	reached *harness.Visit
	proceed harness.FIFO
}

// holdLaunch starts fstrace in a process group of its own, by way of a shell
// that runs prepare first, and returns when it has come to the failpoint. The
// command makes a file, and ends with status 7; if there is a FIFO "hold" it waits
// there first.
func holdLaunch(t *testing.T, point, prepare string, flags ...string) *heldLaunch {
	t.Helper()
	h := startLaunch(t, point, prepare, flags...)
	h.reached.Await()
	return h
}

// startLaunch is holdLaunch for a failpoint that is not on the way. If there is a file
// "stop" the command stops its group first.
func startLaunch(t *testing.T, point, prepare string, flags ...string) *heldLaunch {
	t.Helper()
	dir := harness.OpenDir(t)
	h := &heldLaunch{ran: filepath.Join(dir, "ran"), proceed: harness.NewFIFO(t, dir, "go")}
	h.Session = &harness.Session{T: t, Exe: harness.FstraceWithFailpoints.Install(t, dir), Record: filepath.Join(dir, "record")}
	h.reached = harness.NewFIFO(t, dir, "reached").ExpectVisitor(t)

	args := append([]string{h.Exe, "-f", "jsonl", "-o", h.Record}, flags...)
	args = append(args, "--", "sh", "-c", `[ ! -e stop ] || kill -TSTP 0; [ ! -p hold ] || read x <hold; echo >"$0"; exit 7`, h.ran)
	h.Cmd = exec.Command("sh", append([]string{"-c", prepare + `; exec "$0" "$@"`}, args...)...)
	h.Cmd.Env = append(os.Environ(), "FSTRACE_FAILPOINT="+point+"="+dir)
	h.Cmd.Dir = dir // a core file, if any
	h.Cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	h.Cmd.Stderr = os.Stderr
	stdout, err := h.Cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := stdout.(*os.File).SetReadDeadline(time.Now().Add(2 * harness.Patience)); err != nil {
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
	return h
}

// send sends a signal to fstrace alone or to its group, and does not return
// before fstrace has taken it: the launch goes on after it, not before.
func (h *heldLaunch) send(t *testing.T, sig syscall.Signal, group bool) {
	t.Helper()
	h.stop(t, sig, group)
	if sig == unix.SIGKILL {
		harness.Eventually(t, "fstrace is dead", h.dead)
		return
	}
	harness.SignalTaken(t, h.Cmd.Process.Pid, sig)
}

// stop sends a signal of job control, which may wait.
func (h *heldLaunch) stop(t *testing.T, sig syscall.Signal, group bool) {
	t.Helper()
	to := h.Cmd.Process.Pid
	if group {
		to = -to
	}
	if err := syscall.Kill(to, sig); err != nil {
		t.Fatal(err)
	}
}

// dead reports whether fstrace has ended. It has not been waited for.
func (h *heldLaunch) dead() bool {
	return harness.StatusField(h.Cmd.Process.Pid, "State") == "Z (zombie)"
}

// goOn lets the launch proceed, if fstrace still lives.
func (h *heldLaunch) goOn(t *testing.T) {
	t.Helper()
	h.proceed.Release(t, h.dead)
}

func TestSignalDuringLaunch(t *testing.T) {
	harness.NeedTool(t, "go")
	for _, lifecycle := range []string{"ptrace", "notify"} {
		for _, point := range failpoints {
			for _, sig := range []syscall.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT, unix.SIGKILL} {
				if sig == unix.SIGKILL && lifecycle == "notify" && point == "before-follow" {
					continue // it may exec, and nobody traces it: it goes on
				}
				for _, to := range []string{"fstrace", "group"} {
					t.Run(lifecycle+"/"+point+"/"+unix.SignalName(sig)+"/"+to, func(t *testing.T) {
						t.Parallel()
						// The command waits: passing a signal on takes its time.
						h := holdLaunch(t, point, "ulimit -c 0; mkfifo hold", "--lifecycle", lifecycle)
						h.send(t, sig, to == "group")
						h.goOn(t)
						h.endsBy(t, sig)
					})
				}
			}
		}
	}
}

// endsBy waits for fstrace's end, which must be the signal's doing. Nothing of
// the command must have run to its end, nor be left.
func (h *heldLaunch) endsBy(t *testing.T, sig syscall.Signal) {
	t.Helper()
	if got, want := h.Wait(), unix.SignalName(sig); got != want { // it looks for what is left, too
		t.Errorf("fstrace ended with %s, want %s", got, want)
	}
	if _, err := os.Stat(h.ran); !os.IsNotExist(err) {
		t.Errorf("the command ran on: %s is there (%v)", h.ran, err)
	}
	if sig == unix.SIGKILL {
		if _, err := os.Stat(h.Record); !os.IsNotExist(err) {
			t.Errorf("there is a record of a session that was killed: %v", err)
		}
		return
	}
	r := harness.ReadRecord(t, h.Record)
	exit, _ := r.Trailer["exit"].(map[string]any)
	if exit["signal"] != unix.SignalName(sig) {
		t.Errorf("the record says the command ended with %v", exit)
	}
}

// A signal that is ignored is ignored from the first step on.
func TestIgnoredSignalDuringLaunch(t *testing.T) {
	harness.NeedTool(t, "go")
	for _, point := range failpoints {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			h := holdLaunch(t, point, "trap '' INT TERM HUP QUIT")
			for _, sig := range []syscall.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT} {
				h.send(t, sig, false)
				h.send(t, sig, true)
			}
			h.goOn(t)
			h.endsWell(t)
		})
	}
}

// endsWell waits for fstrace's end, which must be the command's own.
func (h *heldLaunch) endsWell(t *testing.T) {
	t.Helper()
	if got := h.Wait(); got != "7" {
		t.Errorf("fstrace ended with %s, want 7", got)
	}
	if _, err := os.Stat(h.ran); err != nil {
		t.Error(err)
	}
	if r := harness.ReadRecord(t, h.Record); !r.Complete() {
		t.Errorf("trailer: %v", r.Trailer)
	}
}

// A job can be stopped at any step of the launch, and goes on when it is
// continued. Test runners do this to hundreds of commands at once.
func TestStopDuringLaunch(t *testing.T) {
	harness.NeedTool(t, "go")
	for _, lifecycle := range []string{"ptrace", "notify"} {
		for _, point := range failpoints {
			if point == "before-follow" {
				continue // exec says that the launch is over: it stops there, and cannot be let go on
			}
			for _, to := range []string{"fstrace", "group"} {
				t.Run(lifecycle+"/"+point+"/"+to, func(t *testing.T) {
					t.Parallel()
					h := holdLaunch(t, point, ":", "--lifecycle", lifecycle)
					h.stop(t, unix.SIGTSTP, to == "group")
					h.goOn(t)
					harness.AwaitStop(t, h.Cmd)
					h.stop(t, unix.SIGCONT, true)
					h.endsWell(t)
				})
			}
		}
	}
}

// Stopped and continued before fstrace can do anything about it, or again and
// again: the command must not be left stopped.
func TestStopAndContinueDuringLaunch(t *testing.T) {
	harness.NeedTool(t, "go")
	for _, lifecycle := range []string{"ptrace", "notify"} {
		for _, point := range failpoints {
			t.Run(lifecycle+"/"+point, func(t *testing.T) {
				t.Parallel()
				h := holdLaunch(t, point, ":", "--lifecycle", lifecycle)
				for range 3 {
					for _, sig := range []syscall.Signal{unix.SIGTSTP, unix.SIGCONT} {
						h.stop(t, sig, true)
					}
				}
				h.goOn(t)
				h.endsWell(t)
			})
		}
	}
}

// The command's first calls may be notified before the tracer thread hears of it.
func TestCallsBeforeFollow(t *testing.T) {
	harness.NeedTool(t, "go")
	for _, lifecycle := range harness.Lifecycles {
		t.Run(lifecycle, func(t *testing.T) {
			h := holdLaunch(t, "before-follow", ":", "--lifecycle", lifecycle)
			harness.Eventually(t, "the command has called exec", func() bool {
				for _, p := range harness.Processes(t) {
					if p.Parent == h.Cmd.Process.Pid && p.State != 'S' && p.Exe != h.Exe || h.dead() {
						return true
					}
				}
				return false
			})
			h.goOn(t)
			h.endsWell(t)
			harness.CheckTree(t, harness.ReadRecord(t, h.Record), "ptrace")
		})
	}
}

// When a stopped job is continued the command waits for fstrace, which until then
// would be stopped first by the next signal.
func TestFstraceGoesOnFirst(t *testing.T) {
	harness.NeedTool(t, "go")
	h := startLaunch(t, "stopped", ": >stop")
	harness.AwaitStop(t, h.Cmd)
	h.stop(t, unix.SIGCONT, true)
	h.reached.Await()
	for range 20 { // as long as that takes
		if err := exec.Command("true").Run(); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(h.ran); err == nil {
			t.Fatal("the command has gone on first")
		}
	}
	h.goOn(t)
	h.endsWell(t)
}

// Until there is a command, a signal is fstrace's own: it must not wait without limit to
// open a FIFO that nobody reads.
func TestInterruptedBefore(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(harness.Fstrace(t), "-o", fifo, "--", "true")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	opening := fmt.Sprintf("%d ", unix.SYS_OPENAT)
	harness.Eventually(t, "it opens the FIFO", func() bool {
		calls, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/syscall", cmd.Process.Pid))
		return slices.ContainsFunc(calls, func(name string) bool {
			call, err := os.ReadFile(name) // it is asleep in the call
			return err == nil && strings.HasPrefix(string(call), opening)
		})
	})
	if err := cmd.Process.Signal(unix.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil || err.Error() != "signal: interrupt" {
		t.Errorf("ended with %v", err)
	}
}
