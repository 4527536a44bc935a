package main_test

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
)

// A connectedSession is startSession's, recorded by a daemon.
type connectedSession struct {
	*session
	stderr bytes.Buffer // complete after wait
}

func startConnected(t *testing.T, d *daemon, script string, flags ...string) *connectedSession {
	t.Helper()
	s := &connectedSession{session: &session{t: t, exe: fstraceBinary(t), record: filepath.Join(t.TempDir(), "record")}}
	args := append([]string{d.connect(), "-f", "jsonl", "-o", s.record}, flags...)
	s.cmd = exec.Command(s.exe, append(args, "--", "sh", "-c", script)...)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	s.cmd.Stderr = &s.stderr
	var err error
	if s.stdin, err = s.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := stdout.(*os.File).SetReadDeadline(time.Now().Add(2 * patience)); err != nil {
		t.Fatal(err)
	}
	s.stdout = bufio.NewReader(stdout)
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if s.cmd.ProcessState == nil {
			s.cmd.Process.Kill()
			s.cmd.Wait()
		}
	})
	return s
}

// What is sent to fstrace is the command's, and fstrace ends as the command does, with
// a whole record.
func TestConnectSignals(t *testing.T) {
	d := startDaemon(t)
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
			s.expect("ready")
			if test.group {
				s.signalGroup(test.send)
			} else {
				s.cmd.Process.Signal(test.send)
			}
			io.WriteString(s.stdin, test.input)
			if got := s.wait(); got != test.want {
				t.Errorf("fstrace ended with %s, want %s\n%s", got, test.want, &s.stderr)
			}
			r := readRecord(t, s.record)
			checkProcesses(t, r.Events)
			if exit, _ := r.Trailer["exit"].(map[string]any); !r.complete() || statusOf(exit) != test.want {
				t.Errorf("trailer: %v", r.Trailer)
			}
		})
	}
}

// statusOf is how a process ended by a record's word.
func statusOf(exit map[string]any) string {
	if sig := stringField(exit, "signal"); sig != "" {
		return sig
	}
	return strconv.Itoa(intField(exit, "code"))
}

// Standard input and output are the caller's own, pipes among them. What the command
// has closed is closed: fstrace and the daemon hold nothing of it.
func TestConnectPipes(t *testing.T) {
	d := startDaemon(t)
	s := startConnected(t, d, `read line; echo "got $line"; exec >&-; read line; exit 6`)
	io.WriteString(s.stdin, "one\n")
	s.expect("got one")
	if rest, err := io.ReadAll(s.stdout); err != nil || len(rest) > 0 {
		t.Errorf("after the command has closed its output: %q, %v", rest, err)
	}
	io.WriteString(s.stdin, "two\n")
	if got := s.wait(); got != "6" {
		t.Errorf("fstrace ended with %s, want 6\n%s", got, &s.stderr)
	}
}

// With the daemon killed nobody answers the command's calls any more: it and its
// descendants are killed, and fstrace says so.
func TestConnectDaemonKilled(t *testing.T) {
	d := startDaemon(t)
	s := startConnected(t, d, `setsid sleep 600 & far=$!; sleep 600 & echo $$ $far $!; wait`)
	pidfds := s.pidfds()
	d.kill()
	for _, fd := range pidfds {
		gone(t, fd)
	}
	if got := s.wait(); got != "125" {
		t.Errorf("fstrace ended with %s, want 125", got)
	}
	const want = "fstrace: fstraced has ended: the command was killed with it, and there is no record; start fstraced again (its log may say why it ended)\n"
	// Before it a process that was just about to make a call may complain.
	if !strings.HasSuffix(s.stderr.String(), want) {
		t.Errorf("it said %q", &s.stderr)
	}
	if _, err := os.Stat(s.record); !os.IsNotExist(err) {
		t.Errorf("%s is there: %v", s.record, err)
	}
}

// A daemon that is killed while commands are being launched leaves none of them, and
// each fstrace says that the daemon failed it, or that there was none.
func TestConnectDaemonKilledAtAnyTime(t *testing.T) {
	exe, rounds := fstraceBinary(t), 2
	if os.Getenv("FSTRACE_STRESS") != "" {
		rounds = 50
	}
	for range rounds {
		d := startDaemon(t)
		const clients = 8
		begun := make(chan bool, 1000)
		ended := make(chan string, clients)
		for range clients {
			go func() {
				for {
					cmd := exec.Command(exe, d.connect(), "-o", "/dev/null", "--", "true")
					out, err := cmd.CombinedOutput()
					if err != nil {
						ended <- statusName(cmd.ProcessState.Sys().(syscall.WaitStatus)) + " " + string(out)
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
		d.kill()
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
	d := startDaemon(t)
	s := startConnected(t, d, `trap '' TERM; sleep 600 & echo $$ $!; wait; sleep 600`)
	s.killed()
}

// A daemon that gets SIGTERM lets its commands end, or ends them, and fstrace has their
// whole records.
func TestConnectDaemonEnds(t *testing.T) {
	d := startDaemon(t)
	s := startConnected(t, d, `echo ready; exec sleep 600`)
	s.expect("ready")
	d.cmd.Process.Signal(syscall.SIGTERM)
	if got := s.wait(); got != "SIGTERM" {
		t.Errorf("fstrace ended with %s, want SIGTERM", got)
	}
	if said := s.stderr.String(); said != "fstrace: cancelled by fstraced; killed by SIGTERM\n" {
		t.Errorf("it said %q", said)
	}
	if r := readRecord(t, s.record); !r.complete() {
		t.Errorf("trailer: %v", r.Trailer)
	}
}
