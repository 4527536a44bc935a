package main

import (
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fstrace/fstrace/ipc"
	"github.com/fstrace/fstrace/testdata/harness"
	"golang.org/x/sys/unix"
)

// TestDefaultSocketDirectory: a directory and a socket for the user alone, and one
// daemon.
func TestDefaultSocketDirectory(t *testing.T) {
	runtime := t.TempDir()
	t.Setenv("XDG_RUNTIME_DIR", runtime)
	d := command(t)
	d.socket = filepath.Join(runtime, "fstrace", "socket")
	d.start()
	for name, want := range map[string]os.FileMode{filepath.Dir(d.socket): 0o700, d.socket: 0o600} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v, want %v", name, info.Mode(), err, want)
		}
	}
	if said := fails(t, command(t)); !strings.Contains(said, "another fstraced is listening") {
		t.Errorf("a second daemon says %q", said)
	}
	if info := d.client().Server(); info.PID != d.cmd.Process.Pid || info.Socket != d.socket {
		t.Errorf("info %+v", info)
	}
	d.signal(syscall.SIGTERM)
	if status := d.end(); status != 0 {
		t.Errorf("exit status %d", status)
	}
	if _, err := os.Lstat(d.socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left: %v", err)
	}
}

func TestRefusals(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	foreign := filepath.Join(t.TempDir(), "socket")
	l, err := net.Listen("unix", foreign)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for want, args := range map[string][]string{
		"XDG_RUNTIME_DIR":              {},
		"not a socket":                 {"--socket", file},
		"another process is listening": {"--socket", foreign},
		"no such file or directory":    {"--socket", filepath.Join(t.TempDir(), "no", "socket")},
		"--log-level":                  {"--log-level", "loud"},
		"--drain":                      {"--drain", "never"},
		"--max-sessions":               {"--max-sessions", "0"},
		"--spool-bytes":                {"--spool-bytes", "many"},
		"--spool-dir":                  {"--spool-dir", file, "--socket", filepath.Join(t.TempDir(), "socket")},
		"loopback":                     {"--pprof", "0.0.0.0:0", "--socket", filepath.Join(t.TempDir(), "socket")},
	} {
		d := command(t, args...)
		d.cmd.Env = append(d.cmd.Env, "XDG_RUNTIME_DIR=")
		if said := fails(t, d); !strings.Contains(said, want) {
			t.Errorf("%q: it says %q, want %q", args, said, want)
		}
	}
	if _, err := os.Stat(file); err != nil {
		t.Error("what was no socket has been removed")
	}
	for _, name := range []string{file, foreign} {
		if _, err := os.Lstat(name + ".lock"); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("a lock is left beside %s: %v", name, err)
		}
	}
}

// TestActivationRefused: what systemd passes is looked at before it is served.
func TestActivationRefused(t *testing.T) {
	socketpair := func(kind int) *os.File {
		pair, err := unix.Socketpair(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		unix.Close(pair[1])
		return os.NewFile(uintptr(pair[0]), "socket")
	}
	tcp, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	tcpFile, err := tcp.File()
	if err != nil {
		t.Fatal(err)
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	for want, file := range map[string]*os.File{
		"not a Unix socket": tcpFile, "not a stream socket": socketpair(unix.SOCK_DGRAM), "not listening": socketpair(unix.SOCK_STREAM),
		"non-socket": null,
	} {
		defer file.Close()
		d := command(t)
		exe, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		d.cmd.Path = "/bin/sh"
		d.cmd.Args = []string{"sh", "-c", `LISTEN_PID=$$ LISTEN_FDS=1 exec "$0"`, exe}
		d.cmd.ExtraFiles = []*os.File{file}
		over := time.AfterFunc(patience, func() { _ = d.cmd.Process.Kill() })
		if said := fails(t, d); !strings.Contains(said, want) {
			t.Errorf("it says %q, want %q", said, want)
		}
		over.Stop()
	}
}

// TestStaleSocket: what a daemon that was killed has left is taken over.
func TestStaleSocket(t *testing.T) {
	d := start(t)
	if err := d.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	d.end()
	if _, err := os.Lstat(d.socket); err != nil {
		t.Fatal(err)
	}
	again := command(t, "--socket", d.socket)
	again.socket = d.socket
	again.start()
	again.client()
}

// TestActivation: the socket that systemd passes is served and left to it.
func TestActivation(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "socket")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	file, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	d := command(t)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	d.cmd.Path = "/bin/sh"
	d.cmd.Args = []string{"sh", "-c", `LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=x exec "$0"`, exe}
	d.cmd.ExtraFiles = []*os.File{file}
	d.socket = socket
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.cmd.Process.Kill() })
	s := run(t, d.client(), "true")
	if _, err := io.Copy(io.Discard, s.Record()); err != nil {
		t.Error(err)
	}
	d.signal(syscall.SIGTERM)
	go func() {
		_ = d.cmd.Wait()
		close(d.ended)
	}()
	if status := d.end(); status != 0 {
		t.Errorf("exit status %d: %s", status, d.logged())
	}
	if _, err := os.Lstat(socket); err != nil {
		t.Errorf("systemd's socket: %v", err)
	}
}

// TestDrainWait: SIGTERM waits for what runs, whose client gets the end of its record;
// a second one does not wait any longer.
func TestDrainWait(t *testing.T) {
	for _, hurry := range []bool{false, true} {
		d := start(t, "--grace", "1ms")
		release := filepath.Join(t.TempDir(), "go")
		s := run(t, d.client(), "trap '' TERM; while ! test -e "+release+"; do sleep 0.01; done; exit 6")
		if ran, err := s.Running(); !ran || err != nil {
			t.Fatalf("running: %v, %v", ran, err)
		}
		d.signal(syscall.SIGTERM)
		harness.Eventually(t, "nobody new is served", func() bool {
			_, err := ipc.Dial(d.socket)
			return err != nil
		})
		if hurry {
			d.signal(syscall.SIGTERM)
		} else if err := os.WriteFile(release, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		record, err := io.ReadAll(s.Record())
		want := `"exit":{"code":6}`
		if hurry {
			want = `"exit":{"signal":"SIG`
		}
		if err != nil || !strings.Contains(string(record), want) {
			t.Errorf("hurry %v: the record has no %s: %v", hurry, want, err)
		}
		if status := d.end(); status != 0 {
			t.Errorf("exit status %d", status)
		}
	}
}

func TestDrainCancel(t *testing.T) {
	d := start(t, "--drain", "cancel")
	s := run(t, d.client(), "sleep 1000; exit 3")
	if ran, err := s.Running(); !ran || err != nil {
		t.Fatalf("running: %v, %v", ran, err)
	}
	d.signal(syscall.SIGTERM)
	record, err := io.ReadAll(s.Record())
	if err != nil || !strings.Contains(string(record), `"exit":{"signal":"SIGTERM"}`) || s.Result().Ending != "term" {
		t.Errorf("%v, %+v", err, s.Result())
	}
	if status := d.end(); status != 0 {
		t.Errorf("exit status %d", status)
	}
}

// TestIdleExit: not while something runs or somebody is there.
func TestIdleExit(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "socket")
	d := command(t, "--socket", socket, "--idle-exit", "1s")
	d.socket, d.hold = socket, true
	d.start()
	s := run(t, d.client(), "sleep 1.5")
	d.first.Close()
	if _, err := io.Copy(io.Discard, s.Record()); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if status := d.end(); status != 0 {
		t.Errorf("exit status %d", status)
	}
}

func TestPprof(t *testing.T) {
	profiles := filepath.Join(t.TempDir(), "pprof")
	start(t, "--pprof", "unix:"+profiles)
	info, err := os.Stat(profiles)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info, err)
	}
	conn, err := net.Dial("unix", profiles)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET /debug/pprof/goroutine?debug=1 HTTP/1.0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(conn)
	if err != nil || !strings.Contains(string(got), "goroutine profile") {
		t.Errorf("%v: %.200s", err, got)
	}
}

func TestVersion(t *testing.T) {
	cmd := exec.Command("/proc/self/exe", "--version")
	cmd.Env = append(os.Environ(), daemonVariable+"=1", "GORACE=atexit_sleep_ms=0")
	out, err := cmd.Output()
	if err != nil || !strings.HasPrefix(string(out), "fstraced ") {
		t.Errorf("%q, %v", out, err)
	}
}

// TestDrainTime: what SIGTERM waits for is cancelled when that has taken long enough.
func TestDrainTime(t *testing.T) {
	d := start(t, "--drain-time", "100ms")
	s := run(t, d.client(), "sleep 1000")
	if ran, err := s.Running(); !ran || err != nil {
		t.Fatalf("running: %v, %v", ran, err)
	}
	d.signal(syscall.SIGTERM)
	record, err := io.ReadAll(s.Record())
	if err != nil || !strings.Contains(string(record), `"exit":{"signal":"SIGTERM"}`) {
		t.Errorf("%v, %+v", err, s.Result())
	}
	if status := d.end(); status != 0 {
		t.Errorf("exit status %d", status)
	}
}
