package main_test

import (
	"encoding/json"
	"io"
	"os/exec"
	"strings"
	"testing"
)

// fstrace watch is a program like any other to a terminal: Ctrl-Z stops it, fg has it go
// on, and Ctrl-C ends it. The command that it watches does not notice.
func TestConnectWatchOnTerminal(t *testing.T) {
	d := startDaemon(t)
	s := startConnected(t, d, `echo ready; while read name; do [ -e "/watched-$name" ]; done; exit 3`)
	s.expect("ready")
	out, err := exec.Command(s.exe, "sessions", "--json", "--socket", d.socket).Output()
	if err != nil {
		t.Fatal(err)
	}
	var list struct {
		Sessions []struct{ Session, State string }
	}
	if err := json.Unmarshal(out, &list); err != nil || len(list.Sessions) != 1 || list.Sessions[0].State != "running" {
		t.Fatalf("sessions: %v %s", err, out)
	}
	term := openTerminal(t, needTool(t, "bash"), "--norc", "--noprofile", "-i")
	term.until("prompt>")
	see := func(name string) {
		t.Helper()
		io.WriteString(s.stdin, name+"\n")
		term.until("stat      /watched-" + name + " (absent)")
	}
	watch := "fstrace watch --socket " + d.socket + " " + list.Sessions[0].Session + "\n"
	term.send(watch)
	see("one")
	term.send(ctrlZ)
	term.until("Stopped")
	term.until("prompt>")
	term.send("fg\n")
	see("two")
	term.send(ctrlC)
	term.until("prompt>")
	term.send(strings.Replace(watch, "watch", "watch --from 1", 1))
	see("three") // after what was there before
	s.stdin.Close()
	term.until("prompt>")
	term.send("echo status '<'$?'>'; exit\n")
	term.until("status <0>")
	term.cmd.Wait()
	if got := s.wait(); got != "3" {
		t.Errorf("fstrace ended with %s, want 3\n%s", got, &s.stderr)
	}
}
