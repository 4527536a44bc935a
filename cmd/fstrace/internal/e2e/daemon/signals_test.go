// Package daemon tests fstrace --connect: signals, the ends of either side, and the
// clients in docs/examples.
package daemon

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fstrace/fstrace/testdata/harness"
)

// A connectedSession is a [harness.Session], recorded by a daemon.
type connectedSession struct {
	*harness.Session
	stderr bytes.Buffer // complete after wait
}

func startConnected(t *testing.T, d *harness.Daemon, script string, flags ...string) *connectedSession {
	t.Helper()
	s := &connectedSession{Session: &harness.Session{T: t, Exe: harness.Fstrace(t), Record: filepath.Join(t.TempDir(), "record")}}
	args := append([]string{d.Connect(), "-f", "jsonl", "-o", s.Record}, flags...)
	s.Cmd = exec.Command(s.Exe, append(args, "--", "sh", "-c", script)...)
	s.Cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	s.Cmd.Stderr = &s.stderr
	var err error
	if s.Stdin, err = s.Cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stdout, err := s.Cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := stdout.(*os.File).SetReadDeadline(time.Now().Add(2 * harness.Patience)); err != nil {
		t.Fatal(err)
	}
	s.Stdout = bufio.NewReader(stdout)
	if err := s.Cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if s.Cmd.ProcessState == nil {
			s.Cmd.Process.Kill()
			s.Cmd.Wait()
		}
	})
	return s
}

// What is sent to fstrace is the command's, and fstrace ends as the command does, with
// a whole record.
func TestConnectSignals(t *testing.T) {
	d := harness.StartDaemon(t)
	for _, test := range []struct {
		name, script string
		send         syscall.Signal
		group        bool
		input, want  string
	}{
		{"default", `echo ready; exec sleep 600`, syscall.SIGTERM, false, "", "SIGTERM"},
		{"caught", `trap 'exit 3' TERM; echo ready; read line; exit 9`, syscall.SIGTERM, false, "", "3"},
		{"ignored", `trap '' TERM; echo ready; read line; exit 5`, syscall.SIGTERM, false, "go on\n", "5"},
		{"hangup", `echo ready; exec sleep 600`, syscall.SIGHUP, false, "", "SIGHUP"},
		{"group", `echo ready; exec sleep 600`, syscall.SIGINT, true, "", "SIGINT"},
		{"group caught", `trap 'exit 4' INT; echo ready; read line; exit 9`, syscall.SIGINT, true, "", "4"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := startConnected(t, d, test.script)
			s.Expect("ready")
			if test.group {
				s.SignalGroup(test.send)
			} else {
				s.Cmd.Process.Signal(test.send)
			}
			io.WriteString(s.Stdin, test.input)
			if got := s.Wait(); got != test.want {
				t.Errorf("fstrace ended with %s, want %s\n%s", got, test.want, &s.stderr)
			}
			r := harness.ReadRecord(t, s.Record)
			harness.CheckProcesses(t, r.Events)
			if exit, _ := r.Trailer["exit"].(map[string]any); !r.Complete() || statusOf(exit) != test.want {
				t.Errorf("trailer: %v", r.Trailer)
			}
		})
	}
}

// statusOf is how a process ended by a record's word.
func statusOf(exit map[string]any) string {
	if sig := harness.StringField(exit, "signal"); sig != "" {
		return sig
	}
	return strconv.Itoa(harness.IntField(exit, "code"))
}

// Standard input and output are the caller's own, pipes among them. What the command
// has closed is closed: fstrace and the daemon hold nothing of it.
func TestConnectPipes(t *testing.T) {
	d := harness.StartDaemon(t)
	s := startConnected(t, d, `read line; echo "got $line"; exec >&-; read line; exit 6`)
	io.WriteString(s.Stdin, "one\n")
	s.Expect("got one")
	if rest, err := io.ReadAll(s.Stdout); err != nil || len(rest) > 0 {
		t.Errorf("after the command has closed its output: %q, %v", rest, err)
	}
	io.WriteString(s.Stdin, "two\n")
	if got := s.Wait(); got != "6" {
		t.Errorf("fstrace ended with %s, want 6\n%s", got, &s.stderr)
	}
}

// With the daemon killed nobody answers the command's calls any more: it and its
// descendants are killed, and fstrace says so.
func TestConnectDaemonKilled(t *testing.T) {
	d := harness.StartDaemon(t)
	s := startConnected(t, d, `setsid sleep 600 & far=$!; sleep 600 & echo $$ $far $!; wait`)
	pidfds := s.Pidfds()
	d.Kill()
	for _, fd := range pidfds {
		harness.Gone(t, fd)
	}
	if got := s.Wait(); got != "125" {
		t.Errorf("fstrace ended with %s, want 125", got)
	}
	const (
		want = "fstrace: fstraced has ended: the command was killed with it, and there is no record; start fstraced again (its log may say why it ended)\n"
		// The command runs a moment before the daemon says so.
		early = "fstrace: fstraced has ended while it started the command: if the command had begun, it was killed, and there is no record; start fstraced again\n"
	)
	// Before it a process that was just about to make a call may complain.
	if said := s.stderr.String(); !strings.HasSuffix(said, want) && !strings.HasSuffix(said, early) {
		t.Errorf("it said %q", &s.stderr)
	}
	if _, err := os.Stat(s.Record); !os.IsNotExist(err) {
		t.Errorf("%s is there: %v", s.Record, err)
	}
}

// A daemon that is killed while commands are being launched leaves none of them, and
// each fstrace says that the daemon failed it, or that there was none.
func TestConnectDaemonKilledAtAnyTime(t *testing.T) {
	exe, rounds := harness.Fstrace(t), 2
	if os.Getenv("FSTRACE_STRESS") != "" {
		rounds = 50
	}
	for range rounds {
		d := harness.StartDaemon(t)
		const clients = 8
		begun := make(chan bool, 1000)
		ended := make(chan string, clients)
		for range clients {
			go func() {
				for {
					cmd := exec.Command(exe, d.Connect(), "-o", "/dev/null", "--", "true")
					out, err := cmd.CombinedOutput()
					if err != nil {
						ended <- harness.StatusName(cmd.ProcessState.Sys().(syscall.WaitStatus)) + " " + string(out)
						return
					}
					select {
					case begun <- true:
					default:
					}
				}
			}()
		}
		for range clients {
			select {
			case <-begun:
			case said := <-ended:
				t.Fatalf("with a daemon that runs: %s", said)
			}
		}
		d.Kill()
		for range clients {
			said := <-ended
			if !strings.HasPrefix(said, "125 fstrace: ") || !strings.Contains(said, "fstraced") || strings.Count(said, "\n") != 1 {
				t.Errorf("ended with %q", said)
			}
		}
	}
}

// A client that is killed takes its command along, as fstrace does: the daemon ends
// what nobody has asked to go on.
func TestConnectClientKilled(t *testing.T) {
	d := harness.StartDaemon(t)
	s := startConnected(t, d, `trap '' TERM; sleep 600 & echo $$ $!; wait; sleep 600`)
	s.KillAll()
}

// A daemon that gets SIGTERM lets its commands end, or ends them, and fstrace has their
// whole records.
func TestConnectDaemonEnds(t *testing.T) {
	d := harness.StartDaemon(t)
	s := startConnected(t, d, `echo ready; exec sleep 600`)
	s.Expect("ready")
	d.Cmd.Process.Signal(syscall.SIGTERM)
	if got := s.Wait(); got != "SIGTERM" {
		t.Errorf("fstrace ended with %s, want SIGTERM", got)
	}
	if said := s.stderr.String(); said != "fstrace: cancelled by fstraced; killed by SIGTERM\n" {
		t.Errorf("it said %q", said)
	}
	if r := harness.ReadRecord(t, s.Record); !r.Complete() {
		t.Errorf("trailer: %v", r.Trailer)
	}
}
