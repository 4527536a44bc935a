// Package signals tests signals, terminals and job control.
package signals

import (
	"io"
	"syscall"
	"testing"

	"github.com/fstrace/fstrace/testdata/harness"
)

// With fstrace killed, nobody answers the command's calls any more: it has to
// go too, and its descendants, wherever they have moved. Half a record is none.
func TestKilledTakesCommandAlong(t *testing.T) {
	s := harness.StartSession(t, `setsid sleep 600 & far=$!; sleep 600 & echo $$ $far $!; wait`)
	s.KillAll()
}

// A terminal's interrupt goes to the whole group: the command has its own, and
// fstrace ends as it does, with a whole record.
func TestInterruptOfGroup(t *testing.T) {
	s := harness.StartSession(t, `echo ready; exec sleep 600`)
	s.Expect("ready")
	s.SignalGroup(syscall.SIGINT)
	if got := s.Wait(); got != "SIGINT" {
		t.Errorf("fstrace ended with %s, want SIGINT", got)
	}
	r := harness.ReadRecord(t, s.Record)
	harness.CheckProcesses(t, r.Events)
	exit, _ := r.Trailer["exit"].(map[string]any)
	if !r.Complete() || exit["signal"] != "SIGINT" {
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
			s := harness.StartSession(t, test.script)
			s.Expect("ready")
			s.Cmd.Process.Signal(test.send)
			io.WriteString(s.Stdin, test.input)
			if got := s.Wait(); got != test.want {
				t.Errorf("fstrace ended with %s, want %s", got, test.want)
			}
		})
	}
}
