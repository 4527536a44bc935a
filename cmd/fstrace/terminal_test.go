package main_test

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

// A terminal is one with a program in its foreground, driven by a test.
type terminal struct {
	t    *testing.T
	tty  *os.File
	cmd  *exec.Cmd
	seen string // printed, and not yet waited for
}

// openTerminal starts a program on a new terminal, as its session's leader.
func openTerminal(t *testing.T, name string, arg ...string) *terminal {
	t.Helper()
	cmd := exec.Command(name, arg...)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(fstraceBinary(t))+":"+standardPath, "PS1=prompt>", "HISTFILE=", "TERM=dumb")
	blocking, err := pty.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	tty := pollable(t, blocking)
	t.Cleanup(func() {
		tty.Close() // hangs up on what is left
		if cmd.ProcessState == nil {
			cmd.Process.Kill()
			cmd.Wait()
		}
	})
	return &terminal{t: t, tty: tty, cmd: cmd}
}

// pollable returns f with deadlines that work: package pty's files block.
func pollable(t *testing.T, f *os.File) *os.File {
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

// send types.
func (term *terminal) send(keys string) {
	term.t.Helper()
	if _, err := term.tty.WriteString(keys); err != nil {
		term.t.Fatal(err)
	}
}

// until reads up to the first occurrence of want, and returns what came before.
func (term *terminal) until(want string) string {
	term.t.Helper()
	if err := term.tty.SetReadDeadline(time.Now().Add(patience)); err != nil {
		term.t.Fatal(err)
	}
	buf := make([]byte, 4096)
	for {
		if before, after, ok := strings.Cut(term.seen, want); ok {
			term.seen = after
			return before
		}
		n, err := term.tty.Read(buf)
		term.seen += string(buf[:n])
		if err != nil {
			term.t.Fatalf("waiting for %q on the terminal: %v after %q", want, err, term.seen)
		}
	}
}

const (
	ctrlC = "\x03"
	ctrlZ = "\x1a"
)

// The terminal sends an interrupt to the command and to fstrace. The command
// must get it once, and decides alone what comes of it.
func TestTerminalInterruptReachesCommandOnce(t *testing.T) {
	program := filepath.Join(t.TempDir(), "interrupts")
	build := exec.Command(needTool(t, "gcc"), "-o", program, filepath.Join(projectDir("c"), "interrupts.c"))
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	term := openTerminal(t, fstraceBinary(t), "-o", "record", "--", program)
	term.until("<ready>")
	const keys = 50
	for range keys {
		term.send(ctrlC)
		term.until("<interrupted>")
	}
	term.send("end\n")
	if before := term.until("<end>"); strings.Contains(before, "<interrupted>") {
		t.Errorf("interrupted more often than by %d keys: then %q", keys, before)
	}
	term.cmd.Wait()
	if code := term.cmd.ProcessState.ExitCode(); code != 4 {
		t.Errorf("fstrace ended with %d, want 4", code)
	}
}

// Ctrl-Z stops the command and gives the shell its terminal back; fg goes on.
func TestTerminalStopAndForeground(t *testing.T) {
	term := openTerminal(t, needTool(t, "bash"), "--norc", "--noprofile", "-i")
	term.until("prompt>")
	term.send(`fstrace -o record -- sh -c 'while read line && [ "$line" != end ]; do echo "<got $line"">"; done; exit 6'` + "\n")
	for _, word := range []string{"one", "two", "three"} {
		// An answer proves that the command has the terminal: a key pressed
		// before is the shell's.
		term.send(word + "\n")
		term.until("<got " + word + ">")
		term.send(ctrlZ)
		term.until("Stopped")
		term.until("prompt>")
		term.send("echo shell is '<'back'>'\n")
		term.until("shell is <back>")
		term.until("prompt>")
		term.send("fg\n")
	}
	term.send("end\n")
	term.until("prompt>")
	term.send("echo status '<'$?'>'\n")
	term.until("status <6>")
	term.send("exit\n")
	term.cmd.Wait()
}
