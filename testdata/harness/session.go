package harness

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

// A Session is a running fstrace, in a process group of its own.
type Session struct {
	T      *testing.T
	Exe    string
	Record string
	Cmd    *exec.Cmd
	Stdin  io.WriteCloser
	Stdout *bufio.Reader
}

// StartSession starts fstrace -- sh -c SCRIPT.
func StartSession(t *testing.T, script string) *Session {
	t.Helper()
	s := &Session{T: t, Exe: Fstrace(t), Record: filepath.Join(t.TempDir(), "record")}
	s.Cmd = exec.Command(s.Exe, "-f", "jsonl", "-o", s.Record, "--", "sh", "-c", script)
	s.Cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	s.Cmd.Stderr = os.Stderr
	var err error
	if s.Stdin, err = s.Cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stdout, err := s.Cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := stdout.(*os.File).SetReadDeadline(time.Now().Add(Patience)); err != nil {
		t.Fatal(err)
	}
	s.Stdout = bufio.NewReader(stdout)
	if err := s.Cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if s.Cmd.ProcessState == nil { // the test failed before it waited
			s.Cmd.Process.Kill()
			s.Cmd.Wait()
		}
	})
	return s
}

// line reads what the command printed next.
func (s *Session) line() string {
	s.T.Helper()
	line, err := s.Stdout.ReadString('\n')
	if err != nil {
		s.T.Fatalf("the command printed %q: %v", line, err)
	}
	return strings.TrimSpace(line)
}

// Expect fails the test unless the command prints exactly that next.
func (s *Session) Expect(want string) {
	s.T.Helper()
	if got := s.line(); got != want {
		s.T.Fatalf("the command printed %q, want %q", got, want)
	}
}

// Wait waits for fstrace's end and returns how it ended.
func (s *Session) Wait() string {
	s.T.Helper()
	over := time.AfterFunc(Patience, func() { s.Cmd.Process.Kill() })
	defer over.Stop()
	rest, err := io.ReadAll(s.Stdout)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		s.T.Errorf("somebody still has the command's standard output: %v", GroupStates(s.T, s.Cmd.Process.Pid))
	}
	if len(rest) > 0 {
		s.T.Errorf("the command printed %q at the end", rest)
	}
	s.Cmd.Wait()
	s.NothingLeft()
	return StatusName(s.Cmd.ProcessState.Sys().(syscall.WaitStatus))
}

// Pidfds reads a line of process numbers, and returns handles on them.
func (s *Session) Pidfds() []int {
	s.T.Helper()
	var list []int
	for _, word := range strings.Fields(s.line()) {
		pid, err := strconv.Atoi(word)
		if err != nil {
			s.T.Fatal(err)
		}
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			s.T.Fatal(err)
		}
		list = append(list, fd)
	}
	return list
}

// KillAll kills fstrace. The processes whose numbers the command has written go with it,
// and half a record is none.
func (s *Session) KillAll() {
	s.T.Helper()
	pidfds := s.Pidfds()
	s.Cmd.Process.Kill()
	for _, fd := range pidfds {
		Gone(s.T, fd)
	}
	if got := s.Wait(); got != "SIGKILL" {
		s.T.Errorf("fstrace ended with %s", got)
	}
	if _, err := os.Stat(s.Record); !os.IsNotExist(err) {
		s.T.Errorf("%s is there: %v", s.Record, err)
	}
}

// NothingLeft fails the test if a process of this fstrace is still there.
func (s *Session) NothingLeft() {
	s.T.Helper()
	var left []string
	Eventually(s.T, "no process of fstrace's is left", func() bool {
		left = nil
		exes, _ := filepath.Glob("/proc/[0-9]*/exe")
		for _, link := range exes {
			if target, err := os.Readlink(link); err == nil && target == s.Exe {
				left = append(left, link)
			}
		}
		return len(left) == 0
	})
}

// Gone waits for the end of a process that need not be a child.
func Gone(t testing.TB, pidfd int) {
	t.Helper()
	defer unix.Close(pidfd)
	fds := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	deadline := time.Now().Add(Patience)
	for {
		n, err := unix.Poll(fds, max(0, int(time.Until(deadline).Milliseconds())))
		switch {
		case err == unix.EINTR:
			continue
		case n != 1:
			t.Errorf("process still runs after %v: %v", Patience, err)
			unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0)
		}
		return
	}
}

func (s *Session) SignalGroup(sig syscall.Signal) {
	s.T.Helper()
	if err := syscall.Kill(-s.Cmd.Process.Pid, sig); err != nil {
		s.T.Fatal(err)
	}
}
