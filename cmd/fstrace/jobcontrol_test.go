package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// Job control from an interactive shell, each time as it goes without fstrace.

const ctrlBackslash = "\x1c"

// echoer is a command that says what is typed.
const echoer = `sh -c 'echo "<ready"">"; while read line; do echo "<got $line"">"; done'`

// prefixes are what stands before a command: nothing, or an fstrace.
var prefixes = []struct{ name, words string }{
	{"bare", ""},
	{"ptrace", "fstrace -q -o record -- "},
	{"notify", "fstrace -q -o record --lifecycle notify -- "},
	{"connect", "fstrace -q -o record --connect=$DAEMON -- "},
}

// A shell is an interactive bash on a terminal.
type shell struct {
	*terminal
	prefix string
}

// jobs runs test with each prefix, in a new shell that has its prompt.
func jobs(t *testing.T, test func(t *testing.T, sh *shell)) {
	bash := needTool(t, "bash")
	for _, prefix := range prefixes {
		t.Run(prefix.name, func(t *testing.T) {
			t.Parallel()
			sh := &shell{openTerminal(t, bash, "--norc", "--noprofile", "-i"), prefix.words}
			sh.until("prompt>")
			sh.line("ulimit -c 0")
			sh.daemon()
			test(t, sh)
			sh.send("exit\n")
			sh.cmd.Wait()
		})
	}
}

// daemon starts the daemon that the prefix wants.
func (sh *shell) daemon() {
	if strings.Contains(sh.prefix, "$DAEMON") {
		sh.line("DAEMON=" + startDaemon(sh.t).socket)
	}
}

// line has the shell run a command to its end.
func (sh *shell) line(command string) {
	sh.t.Helper()
	sh.send(command + "\n")
	sh.until("prompt>")
}

// start starts a job in the foreground.
func (sh *shell) start(command string) {
	sh.t.Helper()
	sh.send(sh.prefix + command + "\n")
}

// ctrlZ presses it. A command that fstrace itself does not trace goes on before fstrace
// is ready to be stopped again, which would stop it first.
func (sh *shell) ctrlZ() {
	sh.t.Helper()
	if strings.Contains(sh.prefix, "notify") || strings.Contains(sh.prefix, "connect") {
		eventually(sh.t, "fstrace holds back stops", func() bool { return sh.holdsStops() })
	}
	sh.send(ctrlZ)
}

// holdsStops reports whether each thread of fstrace does.
func (sh *shell) holdsStops() bool {
	for _, p := range sessionOf(sh.t, sh.cmd.Process.Pid) {
		if filepath.Base(p.exe) != "fstrace" {
			continue
		}
		threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/[0-9]*", p.pid))
		for _, thread := range threads {
			tid, _ := strconv.Atoi(filepath.Base(thread))
			mask, err := strconv.ParseUint(statusField(tid, "SigBlk"), 16, 64)
			if err == nil && mask&(1<<(unix.SIGTSTP-1)) == 0 {
				return false
			}
		}
	}
	return true
}

// stopped waits until the shell says that its job has stopped, and sees that it
// has the terminal back.
func (sh *shell) stopped() {
	sh.t.Helper()
	sh.until("Stopped")
	sh.until("prompt>")
	// The shell speaks for its child. Another process of the job that was reading may
	// still be about to stop, and take what is typed now.
	eventually(sh.t, "all of the job is stopped", func() bool {
		for _, p := range sessionOf(sh.t, sh.cmd.Process.Pid) {
			if p.pid != sh.cmd.Process.Pid && !strings.ContainsRune("TtZX", rune(p.state)) {
				return false
			}
		}
		return true
	})
	sh.send("echo shell is '<'back'>'\n")
	sh.until("shell is <back>")
	sh.until("prompt>")
}

// jobStopped waits until the shell finds its background job stopped.
func (sh *shell) jobStopped() {
	sh.t.Helper()
	eventually(sh.t, "the job is stopped", func() bool {
		sh.send("jobs; echo '<'jobs'>'\n")
		return strings.Contains(sh.until("<jobs>"), "Stopped")
	})
}

// status asks for the status of the last job.
func (sh *shell) status(want string) {
	sh.t.Helper()
	sh.until("prompt>")
	sh.send("echo status '<'$?'>'\n")
	sh.until("status <")
	if got := sh.until(">"); got != want {
		sh.t.Errorf("status %s, want %s", got, want)
	}
	sh.until("prompt>")
}

// A program that uses the whole terminal gets the time to give it back, and takes
// it again when it is continued (testdata/lifecycle/suspender.c).
func TestJobThatHandlesStop(t *testing.T) {
	exe := lifecycleProgram(t, "suspender", "gcc")
	for _, how := range []string{"itself", "group", "stop"} {
		t.Run(how, func(t *testing.T) {
			jobs(t, func(t *testing.T, sh *shell) {
				sh.start(exe + " " + how)
				for _, key := range []string{"a", "b", "c"} {
					sh.until("<drawn>")
					sh.send(key)
					sh.until("<key " + key + ">")
					sh.ctrlZ()
					sh.until("<given back>")
					sh.stopped()
					sh.send("fg\n")
				}
				sh.until("<drawn>")
				sh.send("q")
				sh.until("<stops ")
				if got := sh.until(">"); got != "3 continues 3" {
					t.Errorf("stops %s, want 3 of each", got)
				}
				sh.status("6")
			})
		})
	}
}

func TestJobLess(t *testing.T) {
	needTool(t, "less")
	jobs(t, func(t *testing.T, sh *shell) {
		sh.line(`seq -f 'line%g.' 200 >text`)
		sh.start("env TERM=vt100 LESS= less text")
		for range 2 {
			sh.until("line5.")
			sh.ctrlZ()
			sh.stopped()
			sh.send("fg\n")
		}
		sh.until("line5.")
		sh.send("q")
		sh.status("0")
	})
}

func TestJobVim(t *testing.T) {
	needTool(t, "vim")
	jobs(t, func(t *testing.T, sh *shell) {
		// It asks the terminal for nothing: what is typed would be taken for the answer.
		sh.start("env TERM=vt100 vim --cmd 'set t_u7=' -u NONE -i NONE -n -N text")
		sh.until("[New]")
		sh.send("ifirst\x1b")
		sh.until("first")
		sh.ctrlZ()
		sh.stopped()
		sh.send("fg\n")
		sh.until("first")
		sh.send("asecond\x1b:wq\r")
		sh.status("0")
		content, err := os.ReadFile(filepath.Join(sh.cmd.Dir, "text"))
		if err != nil || string(content) != "firstsecond\n" {
			t.Errorf("vim wrote %q (%v)", content, err)
		}
	})
}

// Ctrl-C and Ctrl-\ end a command that does not handle them.
func TestJobKilledByTerminal(t *testing.T) {
	jobs(t, func(t *testing.T, sh *shell) {
		for key, want := range map[string]string{ctrlC: "130", ctrlBackslash: "131"} {
			sh.start(`sh -c 'echo "<ready"">"; exec sleep 600'`)
			sh.until("<ready>")
			sh.send(key)
			sh.status(want)
		}
		sh.start(`sh -c 'trap "exit 9" INT; echo "<ready"">"; while :; do sleep 0.05; done'`)
		sh.until("<ready>")
		sh.send(ctrlC)
		sh.status("9")
	})
}

// bg goes on in the background, until the terminal stops a job that reads from it;
// fg takes it back from there.
func TestJobBackground(t *testing.T) {
	jobs(t, func(t *testing.T, sh *shell) {
		writeFile(t, filepath.Join(sh.cmd.Dir, "job"),
			`echo "<ready>"; read x <fifo; echo "<read>"; read line; echo "<got $line>"; exit 6`)
		sh.line("mkfifo fifo")
		sh.start("sh job")
		sh.until("<ready>")
		sh.ctrlZ()
		sh.stopped()
		sh.line("bg")
		sh.send("echo >fifo\n")
		sh.until("<read>")
		sh.jobStopped()
		sh.send("fg\n")
		sh.send("typed\n")
		sh.until("<got typed>")
		sh.status("6")
	})
}

// A job that begins in the background and reads from the terminal is stopped.
func TestJobReadsInBackground(t *testing.T) {
	jobs(t, func(t *testing.T, sh *shell) {
		sh.send(sh.prefix + "cat &\n")
		sh.until("prompt>")
		sh.jobStopped()
		sh.send("fg\n")
		sh.until("cat")
		sh.send("typed\n")
		sh.until("typed\r\ntyped")
		sh.send("\x04")
		sh.status("0")
	})
}

// All of a pipeline stops and goes on, wherever in it fstrace stands.
func TestJobPipeline(t *testing.T) {
	const counter = `sh -c 'while read line && [ "$line" != end ]; do echo "$line"; done'`
	const marker = `sh -c 'while read line; do echo "<got $line"">"; done; exit 5'`
	for name, job := range map[string]string{
		"first":  "PREFIX" + counter + " | " + marker,
		"last":   counter + " | PREFIX" + marker,
		"both":   "PREFIX" + counter + " | PREFIX" + marker,
		"inside": `PREFIXsh -c "$pipe"`,
	} {
		t.Run(name, func(t *testing.T) {
			jobs(t, func(t *testing.T, sh *shell) {
				sh.line("pipe=$(cat <<'EOF'\n" + counter + " | " + marker + "\nEOF\n)")
				sh.send(strings.ReplaceAll(job, "PREFIX", strings.Replace(sh.prefix, "record", `record$((n=n+1))`, 1)) + "\n")
				for _, word := range []string{"one", "two"} {
					sh.send(word + "\n")
					sh.until("<got " + word + ">")
					sh.ctrlZ()
					sh.stopped()
					sh.send("fg\n")
				}
				sh.send("end\n")
				sh.status("5")
			})
		})
	}
}

// An interactive shell inside makes groups of its own, and has the terminal: stops
// are its affair, until it suspends itself.
func TestJobShellInside(t *testing.T) {
	jobs(t, func(t *testing.T, sh *shell) {
		sh.start("env PS1='inner>' bash --norc --noprofile -i")
		sh.until("inner>")
		for range 2 {
			sh.send(echoer + "\n")
			sh.until("<ready>")
			sh.send("typed\n")
			sh.until("<got typed>")
			sh.ctrlZ()
			sh.until("Stopped")
			sh.until("inner>")
			sh.send("fg\n")
			sh.until("sh -c")
			sh.send("again\n")
			sh.until("<got again>")
			sh.send(ctrlC)
			sh.until("inner>")
			sh.send("suspend\n")
			sh.stopped()
			sh.send("fg\n")
			sh.until("inner>")
		}
		sh.send("sleep 600 & echo '<'$!'>'\n")
		sh.until("<")
		sh.until(">")
		sh.until("inner>")
		sh.send("kill %1; wait; exit 7\n")
		sh.status("7")
	})
}

// So does a script with "set -m", which runs its jobs in the foreground in turn.
func TestJobMonitorScript(t *testing.T) {
	jobs(t, func(t *testing.T, sh *shell) {
		writeFile(t, filepath.Join(sh.cmd.Dir, "script"), "set -m\ntrap : INT\n"+
			echoer+"\necho \"<first $?>\"\n"+echoer+"\necho \"<second $?>\"\nfg\necho \"<third $?>\"\nexit 6\n")
		sh.start("bash script")
		sh.until("<ready>")
		sh.send("typed\n")
		sh.until("<got typed>")
		sh.send(ctrlC)
		sh.until("<first 130>")
		sh.until("<ready>")
		sh.ctrlZ()
		sh.until("<second 148>")
		sh.send("again\n")
		sh.until("<got again>")
		sh.send("\x04")
		sh.until("<third 0>")
		sh.status("6")
	})
}

// A change of the window's size reaches the command, once.
func TestJobWindowSize(t *testing.T) {
	exe := lifecycleProgram(t, "suspender", "gcc")
	jobs(t, func(t *testing.T, sh *shell) {
		sh.start(exe)
		sh.until("<drawn>")
		for _, size := range []pty.Winsize{{Rows: 31, Cols: 101}, {Rows: 17, Cols: 55}, {Rows: 40, Cols: 132}} {
			if err := pty.Setsize(sh.tty, &size); err != nil {
				t.Fatal(err)
			}
			sh.until("<size ")
			if got, want := sh.until(">"), fmt.Sprintf("%d %d", size.Rows, size.Cols); got != want {
				t.Errorf("size %s, want %s", got, want)
			}
		}
		sh.send("a")
		if before := sh.until("<key a>"); strings.Contains(before, "<size") {
			t.Errorf("one change of size was told twice: %q", before)
		}
		sh.send("q")
		sh.status("6")
	})
}

// What is waited for after the command's own end stops as a job does.
func TestJobOutlivesCommand(t *testing.T) {
	sh := &shell{openTerminal(t, needTool(t, "bash"), "--norc", "--noprofile", "-i"), ""}
	held := newFIFO(t, sh.cmd.Dir, "held")
	sh.until("prompt>")
	sh.send(`fstrace -f jsonl -o record --wait all -- sh -c 'cat held & echo "<ready"">"; exit 6'` + "\n")
	sh.until("<ready>")
	eventually(t, "cat is all that is left", func() bool {
		left := slices.DeleteFunc(sessionOf(t, sh.cmd.Process.Pid), func(p running) bool { return p.pid == sh.cmd.Process.Pid })
		names := make([]string, 0, len(left))
		for _, p := range left {
			names = append(names, filepath.Base(p.exe))
		}
		slices.Sort(names)
		return slices.Equal(names, []string{"cat", "fstrace"})
	})
	for range 2 {
		sh.ctrlZ()
		sh.stopped()
		sh.send("fg\n")
		sh.until("fstrace")
		eventually(t, "the job goes on", func() bool {
			return !slices.ContainsFunc(sessionOf(t, sh.cmd.Process.Pid), func(p running) bool { return p.state == 'T' || p.state == 't' })
		})
	}
	held.release(t, func() bool { return false })
	sh.status("6")
	if r := readRecord(t, filepath.Join(sh.cmd.Dir, "record")); !r.complete() {
		t.Errorf("trailer: %v", r.Trailer)
	}
	sh.send("exit\n")
	sh.cmd.Wait()
}

// A terminal that is closed hangs up on the command: the shell does, and the kernel
// when the shell ends. Once is enough: the second must not interrupt what the first
// has begun.
func TestJobHangup(t *testing.T) {
	for _, prefix := range prefixes {
		t.Run(prefix.name, func(t *testing.T) {
			term := &shell{openTerminal(t, needTool(t, "bash"), "--norc", "--noprofile", "-i"), prefix.words}
			hangup := newFIFO(t, term.cmd.Dir, "hangup").expectVisitor(t)
			term.until("prompt>")
			term.daemon()
			term.send(strings.Replace(prefix.words, "record", "/dev/null", 1) + `sh -c 'trap "trap \"\" HUP; : >hangup; exit" HUP; echo "<ready"">"; while :; do sleep 0.05; done'` + "\n")
			term.until("<ready>")
			term.tty.Close()
			hangup.await()
			term.cmd.Wait()
		})
	}
}
