package main_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
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

// lifecycleProgram builds testdata/lifecycle/NAME.c with a C compiler, in a
// directory that goes with the test.
func lifecycleProgram(t testing.TB, name, compiler string, flags ...string) string {
	t.Helper()
	exe := filepath.Join(openDir(t), name)
	args := append([]string{"-Wall", "-Wextra", "-g", "-o", exe, filepath.Join("..", "..", "testdata", "lifecycle", name+".c")}, flags...)
	if out, err := exec.Command(needTool(t, compiler), args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v\n%s", compiler, args, err, out)
	}
	return exe
}

// A trial is a command that is run without fstrace and with it, in one directory.
type trial struct {
	dir   string
	env   []string                  // beside the test's own
	flags []string                  // of fstrace
	user  *syscall.Credential       // nil for the test's own user
	stdin func() (io.Reader, error) // nil for /dev/null
}

// bare runs the command without fstrace.
func (tr *trial) bare(t testing.TB, argv ...string) outcome {
	t.Helper()
	return tr.run(t, argv)
}

// traced runs it with fstrace, and returns its record too.
func (tr *trial) traced(t testing.TB, argv ...string) (outcome, *record) {
	t.Helper()
	records := openDir(t)
	if tr.user != nil {
		if err := os.Chown(records, int(tr.user.Uid), int(tr.user.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(records, "record.jsonl")
	argv = append(append([]string{fstraceBinary(t), "-q", "-f", "jsonl", "-o", file}, tr.flags...), append([]string{"--"}, argv...)...)
	return tr.run(t, argv), readRecord(t, file)
}

func (tr *trial) run(t testing.TB, argv []string) outcome {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = tr.dir, &stdout, &stderr
	cmd.Env = append(os.Environ(), tr.env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: tr.user, Setpgid: true}
	cmd.WaitDelay = patience
	if tr.stdin != nil {
		in, err := tr.stdin()
		if err != nil {
			t.Fatal(err)
		}
		cmd.Stdin = in
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	over := time.AfterFunc(3*patience, func() {
		t.Errorf("%q has not ended after %v", argv, 3*patience)
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	})
	defer over.Stop()
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		t.Fatalf("%q: %v\n%s%s", argv, err, &stdout, &stderr)
	}
	return outcome{stdout: stdout.String(), stderr: stderr.String(), status: cmd.ProcessState.Sys().(syscall.WaitStatus)}
}

// same fails the test unless two outcomes are the same to the command's caller.
// What cannot be, numbers of processes say, normal takes out.
func same(t testing.TB, bare, traced outcome, normal func(string) string) {
	t.Helper()
	if normal == nil {
		normal = func(s string) string { return s }
	}
	if got, want := statusName(traced.status), statusName(bare.status); got != want {
		t.Errorf("ended with %s, bare with %s", got, want)
	}
	for _, s := range []struct{ name, bare, traced string }{
		{"standard output", bare.stdout, traced.stdout},
		{"standard error", bare.stderr, traced.stderr},
	} {
		if diff := lineDiff(lines(normal(s.bare)), lines(normal(s.traced))); diff != "" {
			t.Errorf("%s (-bare +traced):\n%s", s.name, diff)
		}
	}
}

func lines(s string) []string { return strings.Split(s, "\n") }

// A fifo is a named pipe by which a test and a program wait for each other.
type fifo string

func newFIFO(t testing.TB, dir, name string) fifo {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return fifo(path)
}

// A visit to a FIFO: the end that waits for somebody to open and close it.
type visit struct {
	t    testing.TB
	name string
	fd   int
}

// expectVisitor opens a FIFO such that awaitVisitor can tell that somebody has
// opened it for writing and closed it again.
func (f fifo) expectVisitor(t testing.TB) *visit {
	t.Helper()
	fd, err := unix.Open(string(f), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return &visit{t, string(f), fd}
}

// await waits for the visitor. A FIFO that nobody has opened yet does not say
// that it has hung up: fifo(7), Linux.
func (v *visit) await() {
	v.t.Helper()
	fds := []unix.PollFd{{Fd: int32(v.fd)}}
	deadline := time.Now().Add(patience)
	for {
		n, err := unix.Poll(fds, max(0, int(time.Until(deadline).Milliseconds())))
		if err == unix.EINTR {
			continue
		}
		if n != 1 {
			v.t.Fatalf("nobody came to %s in %v: %v", v.name, patience, err)
		}
		return
	}
}

// release opens and closes a FIFO for writing as soon as somebody reads it.
// That somebody may have ended instead, which over tells.
func (f fifo) release(t testing.TB, over func() bool) {
	t.Helper()
	eventually(t, "somebody reads "+string(f)+", or has ended", func() bool {
		fd, err := unix.Open(string(f), unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err != nil {
			return over()
		}
		unix.Close(fd)
		return true
	})
}

// statusField reads a field of /proc/PID/status, "" if there is none.
func statusField(pid int, key string) string {
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

// A running process, as proc(5) tells of it.
type running struct {
	pid, parent, group, session int
	state                       byte
	exe                         string
}

// processes lists all that there are.
func processes(t testing.TB) (list []running) {
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
		var p running
		_, rest, _ := strings.Cut(string(data[bytes.LastIndexByte(data, ')'):]), " ")
		if _, err := fmt.Sscanf(rest, "%c %d %d %d", &p.state, &p.parent, &p.group, &p.session); err != nil {
			t.Fatalf("%s/stat: %v", dir, err)
		}
		p.pid, _ = strconv.Atoi(filepath.Base(dir))
		p.exe, _ = os.Readlink(dir + "/exe")
		list = append(list, p)
	}
	return list
}

// sessionOf lists the processes of a session, by its leader.
func sessionOf(t testing.TB, leader int) []running {
	t.Helper()
	return slices.DeleteFunc(processes(t), func(p running) bool { return p.session != leader })
}

// signalTaken waits until a process has taken a signal that was sent to it: it is
// pending no more.
func signalTaken(t testing.TB, pid int, sig syscall.Signal) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d has taken %v", pid, sig), func() bool {
		pending, err := strconv.ParseUint(statusField(pid, "ShdPnd"), 16, 64)
		return err != nil || pending&(1<<(sig-1)) == 0
	})
}

// needRoot skips a test that only root can run. The tests are run as root where
// all of them have to pass.
func needRoot(t testing.TB, why string) {
	t.Helper()
	switch {
	case os.Getuid() == 0:
	case os.Getenv("CI") == "true":
		t.Fatalf("needs root: %s", why)
	default:
		t.Skipf("needs root: %s", why)
	}
}

// awaitStop waits until a command that leads its process group is stopped, as a
// shell does for its jobs.
func awaitStop(t testing.TB, cmd *exec.Cmd) {
	t.Helper()
	const cldStopped = 5
	over := time.AfterFunc(patience, func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
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
