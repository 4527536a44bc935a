package daemon

import (
	"encoding/json"
	"io"
	"os/exec"
	"strings"
	"testing"

	"github.com/fstrace/fstrace/testdata/harness"
)

// fstrace watch is a program like any other to a terminal: Ctrl-Z stops it, fg has it go
// on, and Ctrl-C ends it. The command that it watches does not notice.
func TestConnectWatchOnTerminal(t *testing.T) {
	d := harness.StartDaemon(t)
	s := startConnected(t, d, `echo ready; while read name; do [ -e "/watched-$name" ]; done; exit 3`)
	s.Expect("ready")
	out, err := exec.Command(s.Exe, "sessions", "--json", "--socket", d.Socket).Output()
	if err != nil {
		t.Fatal(err)
	}
	var list struct {
		Sessions []struct{ Session, State string }
	}
	if err := json.Unmarshal(out, &list); err != nil || len(list.Sessions) != 1 || list.Sessions[0].State != "running" {
		t.Fatalf("sessions: %v %s", err, out)
	}
	term := harness.OpenTerminal(t, harness.NeedTool(t, "bash"), "--norc", "--noprofile", "-i")
	term.Until("prompt>")
	see := func(name string) {
		t.Helper()
		io.WriteString(s.Stdin, name+"\n")
		term.Until("stat      /watched-" + name + " (absent)")
	}
	watch := "fstrace watch --socket " + d.Socket + " " + list.Sessions[0].Session + "\n"
	term.Send(watch)
	see("one")
	term.Send(harness.CtrlZ)
	term.Until("Stopped")
	term.Until("prompt>")
	term.Send("fg\n")
	see("two")
	term.Send(harness.CtrlC)
	term.Until("prompt>")
	term.Send(strings.Replace(watch, "watch", "watch --from 1", 1))
	see("three") // after what was there before
	s.Stdin.Close()
	term.Until("prompt>")
	term.Send("echo status '<'$?'>'; exit\n")
	term.Until("status <0>")
	term.Cmd.Wait()
	if got := s.Wait(); got != "3" {
		t.Errorf("fstrace ended with %s, want 3\n%s", got, &s.stderr)
	}
}
