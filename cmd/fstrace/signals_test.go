package main_test

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long a test waits for what should happen at once.
const patience = 20 * time.Second

// A session is a running fstrace, in a process group of its own.
type session struct {
	t      *testing.T
	exe    string
	record string
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
}

// startSession starts fstrace -- sh -c SCRIPT.
func startSession(t *testing.T, script string) *session {
	t.Helper()
	s := &session{t: t, exe: fstraceBinary(t), record: filepath.Join(t.TempDir(), "record")}
	s.cmd = exec.Command(s.exe, "-f", "jsonl", "-o", s.record, "--", "sh", "-c", script)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	s.cmd.Stderr = os.Stderr
	var err error
	if s.stdin, err = s.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := stdout.(*os.File).SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	s.stdout = bufio.NewReader(stdout)
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if s.cmd.ProcessState == nil { // the test failed before it waited
			s.cmd.Process.Kill()
			s.cmd.Wait()
		}
	})
	return s
}

// line reads what the command printed next.
func (s *session) line() string {
	s.t.Helper()
	line, err := s.stdout.ReadString('\n')
	if err != nil {
		s.t.Fatalf("the command printed %q: %v", line, err)
	}
	return strings.TrimSpace(line)
}

// expect fails the test unless the command prints exactly that next.
func (s *session) expect(want string) {
	s.t.Helper()
	if got := s.line(); got != want {
		s.t.Fatalf("the command printed %q, want %q", got, want)
	}
}

// wait waits for fstrace's end and returns how it ended.
func (s *session) wait() string {
	s.t.Helper()
	over := time.AfterFunc(patience, func() { s.cmd.Process.Kill() })
	defer over.Stop()
	rest, err := io.ReadAll(s.stdout)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		s.t.Errorf("somebody still has the command's standard output: %v", groupStates(s.t, s.cmd.Process.Pid))
	}
	if len(rest) > 0 {
		s.t.Errorf("the command printed %q at the end", rest)
	}
	s.cmd.Wait()
	s.nothingLeft()
	return statusName(s.cmd.ProcessState.Sys().(syscall.WaitStatus))
}

// pidfds reads a line of process numbers, and returns handles on them.
func (s *session) pidfds() []int {
	s.t.Helper()
	var list []int
	for _, word := range strings.Fields(s.line()) {
		pid, err := strconv.Atoi(word)
		if err != nil {
			s.t.Fatal(err)
		}
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			s.t.Fatal(err)
		}
		list = append(list, fd)
	}
	return list
}

// killed kills fstrace. The processes whose numbers the command has written go with it,
// and half a record is none.
func (s *session) killed() {
	s.t.Helper()
	pidfds := s.pidfds()
	s.cmd.Process.Kill()
	for _, fd := range pidfds {
		gone(s.t, fd)
	}
	if got := s.wait(); got != "SIGKILL" {
		s.t.Errorf("fstrace ended with %s", got)
	}
	if _, err := os.Stat(s.record); !os.IsNotExist(err) {
		s.t.Errorf("%s is there: %v", s.record, err)
	}
}

// nothingLeft fails the test if a process of this fstrace is still there.
func (s *session) nothingLeft() {
	s.t.Helper()
	var left []string
	eventually(s.t, "no process of fstrace's is left", func() bool {
		left = nil
		exes, _ := filepath.Glob("/proc/[0-9]*/exe")
		for _, link := range exes {
			if target, err := os.Readlink(link); err == nil && target == s.exe {
				left = append(left, link)
			}
		}
		return len(left) == 0
	})
}

// gone waits for the end of a process that need not be a child.
func gone(t testing.TB, pidfd int) {
	t.Helper()
	defer unix.Close(pidfd)
	fds := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	deadline := time.Now().Add(patience)
	for {
		n, err := unix.Poll(fds, max(0, int(time.Until(deadline).Milliseconds())))
		switch {
		case err == unix.EINTR:
			continue
		case n != 1:
			t.Errorf("process still runs after %v: %v", patience, err)
			unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0)
		}
		return
	}
}

// With fstrace killed, nobody answers the command's calls any more: it has to
// go too, and its descendants, wherever they have moved. Half a record is none.
func TestKilledTakesCommandAlong(t *testing.T) {
	s := startSession(t, `setsid sleep 600 & far=$!; sleep 600 & echo $$ $far $!; wait`)
	s.killed()
}

// A terminal's interrupt goes to the whole group: the command has its own, and
// fstrace ends as it does, with a whole record.
func TestInterruptOfGroup(t *testing.T) {
	s := startSession(t, `echo ready; exec sleep 600`)
	s.expect("ready")
	s.signalGroup(syscall.SIGINT)
	if got := s.wait(); got != "SIGINT" {
		t.Errorf("fstrace ended with %s, want SIGINT", got)
	}
	r := readRecord(t, s.record)
	checkProcesses(t, r.Events)
	exit, _ := r.Trailer["exit"].(map[string]any)
	if !r.complete() || exit["signal"] != "SIGINT" {
		t.Errorf("trailer: %v", r.Trailer)
	}
}

// What is sent to fstrace alone is meant for the command.
func TestTerminateIsForwarded(t *testing.T) {
	for _, test := range []struct {
		name, script string
		send         syscall.Signal
		input, want  string
	}{
		{"default", `echo ready; exec sleep 600`, syscall.SIGTERM, "", "SIGTERM"},
		// Not by read: a signal just before it would wait for a line.
		{"caught", `trap 'exit 3' TERM; echo ready; while :; do sleep 0.05; done`, syscall.SIGTERM, "", "3"},
		{"ignored", `trap '' TERM; echo ready; read line; exit 5`, syscall.SIGTERM, "go on\n", "5"},
		{"hangup", `echo ready; exec sleep 600`, syscall.SIGHUP, "", "SIGHUP"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := startSession(t, test.script)
			s.expect("ready")
			s.cmd.Process.Signal(test.send)
			io.WriteString(s.stdin, test.input)
			if got := s.wait(); got != test.want {
				t.Errorf("fstrace ended with %s, want %s", got, test.want)
			}
		})
	}
}

func (s *session) signalGroup(sig syscall.Signal) {
	s.t.Helper()
	if err := syscall.Kill(-s.cmd.Process.Pid, sig); err != nil {
		s.t.Fatal(err)
	}
}
