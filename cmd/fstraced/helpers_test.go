package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fstrace/fstrace/ipc"
	"github.com/fstrace/fstrace/testdata/harness"
)

// Variables that have this test binary be the daemon, or a client that prints what a
// command of its own sees of itself.
const (
	daemonVariable = "FSTRACED_TEST_DAEMON"
	clientVariable = "FSTRACED_TEST_CLIENT"
)

func TestMain(m *testing.M) {
	switch {
	case os.Getenv(daemonVariable) != "":
		_ = os.Unsetenv(daemonVariable)
		os.Exit(execute(os.Args[1:]))
	case os.Args[0] == "fstraced": // a worker
		os.Exit(execute(os.Args[1:]))
	case os.Getenv(clientVariable) != "":
		if err := clientMain(os.Getenv(clientVariable)); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// clientMain runs a command that prints who it is, and prints the record's end, or does
// what its first argument says.
func clientMain(socket string) error {
	if trick := clientTricks[os.Args[1]]; trick != nil {
		return trick(socket, os.Args[2:])
	}
	client, err := ipc.Dial(socket)
	if err != nil {
		return err
	}
	s, err := client.Run(context.Background(), &ipc.RunRequest{
		Argv: []string{"/bin/sh", "-c", `id -u; id -g; id -G; grep CapEff /proc/self/status; cat "$1" 2>&1; ls "$2" 2>&1; exit 5`, "sh", os.Args[1], os.Args[2]},
		Env:  []string{"PATH=/usr/bin:/bin", "LC_ALL=C"}, Cwd: "/", Files: map[int]*os.File{1: os.Stdout},
		Options: ipc.Options{Manifest: true},
	})
	if err != nil {
		return err
	}
	defer s.Close()
	var end json.RawMessage
	for end == nil {
		u, err := s.Next()
		if err != nil {
			return err
		}
		end = u.End
	}
	fmt.Printf("%s\n", end)
	doc, err := client.Manifest(context.Background(), s.Session())
	fmt.Printf("%s\n", doc)
	return err
}

// patience is how long a test waits for what must come.
const patience = 60 * time.Second

// A daemonProcess is a daemon that runs.
type daemonProcess struct {
	t      testing.TB
	cmd    *exec.Cmd
	socket string
	mu     sync.Mutex
	log    bytes.Buffer
	ended  chan struct{}

	hold  bool     // keep the first connection, so that the daemon is not idle
	first net.Conn // that one
}

// Write takes what the daemon logs.
func (d *daemonProcess) Write(b []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.log.Write(b)
}

func (d *daemonProcess) logged() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.log.String()
}

// command returns a daemon that has not been started.
func command(t testing.TB, args ...string) *daemonProcess {
	t.Helper()
	d := &daemonProcess{t: t, ended: make(chan struct{})}
	d.cmd = exec.Command("/proc/self/exe", args...)
	d.cmd.Env = append(os.Environ(), daemonVariable+"=1", "GORACE=atexit_sleep_ms=0")
	d.cmd.Stderr = d
	return d
}

// start starts a daemon at a socket of its own, and waits until it serves.
func start(t testing.TB, args ...string) *daemonProcess {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "socket")
	d := command(t, append([]string{"--socket", socket, "--spool-dir", t.TempDir()}, args...)...)
	d.socket = socket
	d.start()
	return d
}

func (d *daemonProcess) start() {
	d.t.Helper()
	if err := d.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	go func() {
		_ = d.cmd.Wait() // the status is in ProcessState
		close(d.ended)
	}()
	d.t.Cleanup(func() {
		_ = d.cmd.Process.Kill()
		<-d.ended
		if d.t.Failed() {
			d.t.Logf("the daemon's log:\n%s", d.logged())
		}
	})
	harness.Eventually(d.t, "the daemon serves", func() bool {
		select {
		case <-d.ended:
			d.t.Fatalf("the daemon has ended:\n%s", d.logged())
		default:
		}
		conn, err := net.Dial("unix", d.socket)
		if err == nil && d.hold {
			d.t.Cleanup(func() { conn.Close() })
			d.first = conn
		} else if err == nil {
			conn.Close()
		}
		return err == nil
	})
}

// end waits for the daemon's end, and returns its exit status.
func (d *daemonProcess) end() int {
	d.t.Helper()
	select {
	case <-d.ended:
		return d.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		d.t.Fatal("the daemon does not end")
		return -1
	}
}

func (d *daemonProcess) signal(sig syscall.Signal) {
	d.t.Helper()
	if err := d.cmd.Process.Signal(sig); err != nil {
		d.t.Fatal(err)
	}
}

// client returns a client of the daemon.
func (d *daemonProcess) client() *ipc.Client {
	d.t.Helper()
	c, err := ipc.Dial(d.socket)
	if err != nil {
		d.t.Fatal(err)
	}
	return c
}

// fails runs a daemon that cannot start, and returns what it says.
func fails(t testing.TB, d *daemonProcess) string {
	t.Helper()
	if err := d.cmd.Run(); err == nil {
		t.Error("the daemon has served")
	}
	return d.logged()
}

// run begins a shell script, and returns the stream of its record.
func run(t testing.TB, c *ipc.Client, script string) *ipc.Stream {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	s, err := c.Run(ctx, &ipc.RunRequest{Argv: []string{"/bin/sh", "-c", script}, Env: []string{"PATH=/usr/bin:/bin"}, Cwd: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}
