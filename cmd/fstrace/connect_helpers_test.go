package main_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// builtFstraced is the daemon, built as builtFstrace is; builtFstracedWithFailpoints
// holds launches (launch_signals_test.go).
var (
	builtFstraced               = sync.OnceValues(func() ([]byte, error) { return buildFstraced() })
	builtFstracedWithFailpoints = sync.OnceValues(func() ([]byte, error) { return buildFstraced("-tags=failpoints") })
)

func buildFstraced(flags ...string) ([]byte, error) {
	dir, err := os.MkdirTemp("", "fstrace-build-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	exe := filepath.Join(dir, "fstraced")
	args := append([]string{"build", "-trimpath", "-ldflags=-E=fstrace_entry", "-o", exe}, flags...)
	build := exec.Command("go", append(args, "github.com/fstrace/fstrace/cmd/fstraced")...)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build: %w\n%s", err, out)
	}
	return os.ReadFile(exe)
}

// A daemon is a running fstraced, which ends with the test.
type daemon struct {
	t      testing.TB
	dir    string
	socket string
	cmd    *exec.Cmd
	log    bytes.Buffer // complete when the daemon has ended
	ended  chan struct{}
}

// startDaemon starts a daemon with a socket of its own, and returns when it serves.
func startDaemon(t testing.TB) *daemon {
	t.Helper()
	needTool(t, "go")
	content, err := builtFstraced()
	if err != nil {
		t.Fatal(err)
	}
	return startDaemonWith(t, content, nil)
}

// startDaemonWith starts that build of the daemon with more flags, and with something
// added to its environment.
func startDaemonWith(t testing.TB, content []byte, flags []string, env ...string) *daemon {
	t.Helper()
	d := &daemon{t: t, dir: openDir(t), ended: make(chan struct{})}
	d.socket = filepath.Join(d.dir, "s")
	exe := filepath.Join(d.dir, "fstraced")
	writeExecutable(t, exe, content)
	flags = append([]string{"--socket", d.socket, "--spool-dir", d.dir, "--drain", "cancel", "--grace", "1s"}, flags...)
	d.cmd = exec.Command(exe, flags...)
	d.cmd.Env = append(append(os.Environ(), "XDG_CACHE_HOME="+d.dir), env...)
	d.cmd.Stderr = &d.log
	d.cmd.WaitDelay = patience // a keeper may have it for longer
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(d.ended)
		d.cmd.Wait()
	}()
	t.Cleanup(func() { d.end() })
	eventually(t, "fstraced serves", func() bool { return serves(d.socket) })
	return d
}

// serves reports whether somebody listens at a socket.
func serves(socket string) bool {
	conn, err := net.Dial("unix", socket)
	if err == nil {
		conn.Close()
	}
	return err == nil
}

// connect is the flag that has fstrace use this daemon.
func (d *daemon) connect() string { return "--connect=" + d.socket }

// kill kills the daemon, and waits for its end.
func (d *daemon) kill() {
	d.cmd.Process.Kill()
	<-d.ended
}

// end ends the daemon: SIGTERM has it cancel what still runs.
func (d *daemon) end() {
	d.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-d.ended:
	case <-time.After(3 * patience):
		d.kill()
		d.t.Error("fstraced does not end by SIGTERM")
	}
	if d.t.Failed() {
		d.t.Logf("fstraced said:\n%s", &d.log)
	}
}

// scriptDaemon implements "daemon [FLAG...]" for scripts: a daemon at the default
// socket, which $socket names. "daemon kill" kills it.
func scriptDaemon(t testing.TB) func(ts *testscript.TestScript, neg bool, args []string) {
	var mu sync.Mutex
	running := map[*testscript.TestScript]*exec.Cmd{}
	end := func(ts *testscript.TestScript, sig syscall.Signal) {
		mu.Lock()
		cmd := running[ts]
		delete(running, ts)
		mu.Unlock()
		if cmd != nil {
			cmd.Process.Signal(sig)
			over := time.AfterFunc(3*patience, func() { cmd.Process.Kill() })
			defer over.Stop()
			var exit *exec.ExitError
			if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
				ts.Fatalf("fstraced: %v", err)
			}
		}
	}
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg {
			ts.Fatalf("usage: daemon [FLAG...], daemon kill")
		}
		if len(args) == 1 && args[0] == "kill" {
			end(ts, syscall.SIGKILL)
			return
		}
		content, err := builtFstraced()
		if err != nil {
			ts.Fatalf("%v", err)
		}
		dir := ts.MkAbs("daemon")
		socket := filepath.Join(dir, "fstrace", "socket")
		ts.Check(os.MkdirAll(dir, 0o700))
		exe := filepath.Join(dir, "fstraced")
		writeExecutable(t, exe, content)
		cmd := exec.Command(exe, append([]string{"--spool-dir", dir, "--drain", "cancel", "--grace", "1s"}, args...)...)
		cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+dir, "XDG_CACHE_HOME="+dir)
		cmd.WaitDelay = patience
		ts.Check(cmd.Start())
		mu.Lock()
		running[ts] = cmd
		mu.Unlock()
		ts.Defer(func() { end(ts, syscall.SIGTERM) })
		deadline, again := time.After(patience), time.NewTicker(5*time.Millisecond)
		defer again.Stop()
		for !serves(socket) {
			select {
			case <-deadline:
				ts.Fatalf("fstraced does not serve %s", socket)
			case <-again.C:
			}
		}
		ts.Setenv("XDG_RUNTIME_DIR", dir)
		ts.Setenv("socket", socket)
	}
}
