package signals

import (
	"strings"
	"testing"

	"github.com/fstrace/fstrace/testdata/harness"
)

// The terminal sends an interrupt to the command and to fstrace. The command
// must get it once, and decides alone what to do.
func TestTerminalInterruptReachesCommandOnce(t *testing.T) {
	program := harness.BuildC(t, "gcc", "projects/c/interrupts")
	term := harness.OpenTerminal(t, harness.Fstrace(t), "-o", "record", "--", program)
	term.Until("<ready>")
	const keys = 50
	for range keys {
		term.Send(harness.CtrlC)
		term.Until("<interrupted>")
	}
	term.Send("end\n")
	if before := term.Until("<end>"); strings.Contains(before, "<interrupted>") {
		t.Errorf("interrupted more often than by %d keys: then %q", keys, before)
	}
	term.Cmd.Wait()
	if code := term.Cmd.ProcessState.ExitCode(); code != 4 {
		t.Errorf("fstrace ended with %d, want 4", code)
	}
}

// Ctrl-Z stops the command and gives the shell its terminal back; fg goes on.
func TestTerminalStopAndForeground(t *testing.T) {
	term := harness.OpenTerminal(t, harness.NeedTool(t, "bash"), "--norc", "--noprofile", "-i")
	term.Until("prompt>")
	term.Send(`fstrace -o record -- sh -c 'while read line && [ "$line" != end ]; do echo "<got $line"">"; done; exit 6'` + "\n")
	for _, word := range []string{"one", "two", "three"} {
		// An answer proves that the command has the terminal: a key pressed
		// before is the shell's.
		term.Send(word + "\n")
		term.Until("<got " + word + ">")
		term.Send(harness.CtrlZ)
		term.Until("Stopped")
		term.Until("prompt>")
		term.Send("echo shell is '<'back'>'\n")
		term.Until("shell is <back>")
		term.Until("prompt>")
		term.Send("fg\n")
	}
	term.Send("end\n")
	term.Until("prompt>")
	term.Send("echo status '<'$?'>'\n")
	term.Until("status <6>")
	term.Send("exit\n")
	term.Cmd.Wait()
}
