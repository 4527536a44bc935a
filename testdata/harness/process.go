package harness

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// GroupStates lists the processes of a process group with their states.
func GroupStates(t *testing.T, group int) (all []string) {
	t.Helper()
	for _, p := range Processes(t) {
		if p.group == group {
			all = append(all, fmt.Sprintf("%d %c %s", p.PID, p.State, p.Exe))
		}
	}
	return all
}

// StatusField returns a field of /proc/PID/status, "" if there is none.
func StatusField(pid int, key string) string {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(data)) {
		if value, ok := strings.CutPrefix(line, key+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// A Process is one that runs, as /proc/PID/stat describes it: proc(5).
type Process struct {
	PID, Parent, group, Session int
	State                       byte
	Exe                         string
}

// Processes lists the processes of the machine.
func Processes(t testing.TB) (list []Process) {
	t.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		data, err := os.ReadFile(dir + "/stat")
		if err != nil {
			continue // it has ended
		}
		var p Process
		_, rest, _ := strings.Cut(string(data[bytes.LastIndexByte(data, ')'):]), " ")
		if _, err := fmt.Sscanf(rest, "%c %d %d %d", &p.State, &p.Parent, &p.group, &p.Session); err != nil {
			t.Fatalf("%s/stat: %v", dir, err)
		}
		p.PID, _ = strconv.Atoi(filepath.Base(dir))
		p.Exe, _ = os.Readlink(dir + "/exe")
		list = append(list, p)
	}
	return list
}

// SessionOf lists the processes of a session, by its leader.
func SessionOf(t testing.TB, leader int) []Process {
	t.Helper()
	return slices.DeleteFunc(Processes(t), func(p Process) bool { return p.Session != leader })
}

// SignalTaken waits until a process has taken a signal that was sent to it: it is
// pending no more.
func SignalTaken(t testing.TB, pid int, sig syscall.Signal) {
	t.Helper()
	Eventually(t, fmt.Sprintf("%d has taken %v", pid, sig), func() bool {
		pending, err := strconv.ParseUint(StatusField(pid, "ShdPnd"), 16, 64)
		return err != nil || pending&(1<<(sig-1)) == 0
	})
}

// AwaitStop waits until a command that leads its process group is stopped, as a
// shell does for its jobs.
func AwaitStop(t testing.TB, cmd *exec.Cmd) {
	t.Helper()
	const cldStopped = 5
	over := time.AfterFunc(Patience, func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	defer over.Stop()
	var info unix.Siginfo
	for {
		err := unix.Waitid(unix.P_PID, cmd.Process.Pid, &info, unix.WSTOPPED|unix.WEXITED|unix.WNOWAIT, nil)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			t.Fatalf("wait for %d to stop: %v", cmd.Process.Pid, err)
		case info.Code != cldStopped:
			t.Fatalf("%d ended (code %d) and did not stop", cmd.Process.Pid, info.Code)
		}
		return
	}
}
