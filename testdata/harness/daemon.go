package harness

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A Daemon is a running fstraced. It is ended after the test.
type Daemon struct {
	t      testing.TB
	dir    string
	Socket string
	Cmd    *exec.Cmd
	log    bytes.Buffer // complete when the daemon has ended
	ended  chan struct{}
}

// StartDaemon starts a daemon with a socket of its own, and returns when it serves.
func StartDaemon(t testing.TB) *Daemon {
	t.Helper()
	return StartDaemonWith(t, Fstraced, nil)
}

// StartDaemonWith is [StartDaemon] for a build of the daemon, with more flags and with
// env added to its environment.
func StartDaemonWith(t testing.TB, exe *Executable, flags []string, env ...string) *Daemon {
	t.Helper()
	d := &Daemon{t: t, dir: OpenDir(t), ended: make(chan struct{})}
	d.Socket = filepath.Join(d.dir, "s")
	flags = append([]string{"--socket", d.Socket, "--spool-dir", d.dir, "--drain", "cancel", "--grace", "1s"}, flags...)
	d.Cmd = exec.Command(exe.Install(t, d.dir), flags...)
	d.Cmd.Env = append(append(os.Environ(), "XDG_CACHE_HOME="+d.dir), env...)
	d.Cmd.Stderr = &d.log
	d.Cmd.WaitDelay = Patience // a keeper may have it for longer
	if err := d.Cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(d.ended)
		d.Cmd.Wait()
	}()
	t.Cleanup(func() { d.end() })
	Eventually(t, "fstraced serves", func() bool { return Serves(d.Socket) })
	return d
}

// Serves reports whether somebody listens at a socket.
func Serves(socket string) bool {
	conn, err := net.Dial("unix", socket)
	if err == nil {
		conn.Close()
	}
	return err == nil
}

// Connect is the flag that has fstrace use this daemon.
func (d *Daemon) Connect() string { return "--connect=" + d.Socket }

// Kill kills the daemon, and waits for its end.
func (d *Daemon) Kill() {
	d.Cmd.Process.Kill()
	<-d.ended
}

// end ends the daemon: SIGTERM has it cancel what still runs.
func (d *Daemon) end() {
	d.Cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-d.ended:
	case <-time.After(3 * Patience):
		d.Kill()
		d.t.Error("fstraced does not end by SIGTERM")
	}
	if d.t.Failed() {
		d.t.Logf("fstraced said:\n%s", &d.log)
	}
}

// Resident is how many KiB of memory the daemon and its workers have.
func (d *Daemon) Resident(t *testing.T) (sum int) {
	t.Helper()
	for _, p := range Processes(t) {
		if p.PID != d.Cmd.Process.Pid && p.Parent != d.Cmd.Process.Pid {
			continue
		}
		kib, err := strconv.Atoi(strings.TrimSuffix(StatusField(p.PID, "VmRSS"), " kB"))
		if err == nil { // it may have ended
			sum += kib
		}
	}
	if sum == 0 {
		t.Fatal("the daemon has no memory")
	}
	return sum
}
