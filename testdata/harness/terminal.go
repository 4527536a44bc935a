package harness

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// A Terminal is one with a program in its foreground, driven by a test.
type Terminal struct {
	T    *testing.T
	TTY  *os.File
	Cmd  *exec.Cmd
	seen string // printed, and not yet waited for
}

// OpenTerminal starts a program on a new terminal, as its session's leader.
func OpenTerminal(t *testing.T, name string, arg ...string) *Terminal {
	t.Helper()
	cmd := exec.Command(name, arg...)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(Fstrace(t))+":"+StandardPath, "PS1=prompt>", "HISTFILE=", "TERM=dumb")
	blocking, err := pty.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	tty := Pollable(t, blocking)
	t.Cleanup(func() {
		tty.Close() // hangs up on what is left
		if cmd.ProcessState == nil {
			cmd.Process.Kill()
			cmd.Wait()
		}
	})
	return &Terminal{T: t, TTY: tty, Cmd: cmd}
}

// Pollable returns f with deadlines that work: package pty's files block.
func Pollable(t *testing.T, f *os.File) *os.File {
	t.Helper()
	defer f.Close()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fd), f.Name())
}

// Send types.
func (term *Terminal) Send(keys string) {
	term.T.Helper()
	if _, err := term.TTY.WriteString(keys); err != nil {
		term.T.Fatal(err)
	}
}

// Until reads up to the first occurrence of want, and returns what came before.
func (term *Terminal) Until(want string) string {
	term.T.Helper()
	if err := term.TTY.SetReadDeadline(time.Now().Add(Patience)); err != nil {
		term.T.Fatal(err)
	}
	buf := make([]byte, 4096)
	for {
		if before, after, ok := strings.Cut(term.seen, want); ok {
			term.seen = after
			return before
		}
		n, err := term.TTY.Read(buf)
		term.seen += string(buf[:n])
		if err != nil {
			term.T.Fatalf("waiting for %q on the terminal: %v after %q", want, err, term.seen)
		}
	}
}

const (
	CtrlC = "\x03"
	CtrlZ = "\x1a"
)

// StandardPath is where a plain system keeps its programs. The user's own PATH
// comes after it: wrappers in a home directory are not what is to be tested,
// and another user could not run them.
const StandardPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
