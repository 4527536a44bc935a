package signals

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/creack/pty"
	"github.com/fstrace/fstrace/testdata/harness"
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
	*harness.Terminal
	prefix string
}

// jobs runs test with each prefix, in a new shell that has its prompt.
func jobs(t *testing.T, test func(t *testing.T, sh *shell)) {
	bash := harness.NeedTool(t, "bash")
	for _, prefix := range prefixes {
		t.Run(prefix.name, func(t *testing.T) {
			t.Parallel()
			sh := &shell{harness.OpenTerminal(t, bash, "--norc", "--noprofile", "-i"), prefix.words}
			sh.Until("prompt>")
			sh.line("ulimit -c 0")
			sh.daemon()
			test(t, sh)
			sh.Send("exit\n")
			sh.Cmd.Wait()
		})
	}
}

// daemon starts the daemon that the prefix wants.
func (sh *shell) daemon() {
	if strings.Contains(sh.prefix, "$DAEMON") {
		sh.line("DAEMON=" + harness.StartDaemon(sh.T).Socket)
	}
}

// line has the shell run a command to its end.
func (sh *shell) line(command string) {
	sh.T.Helper()
	sh.Send(command + "\n")
	sh.Until("prompt>")
}

// start starts a job in the foreground.
func (sh *shell) start(command string) {
	sh.T.Helper()
	sh.Send(sh.prefix + command + "\n")
}

// ctrlZ presses it. A command that fstrace itself does not trace goes on before fstrace
// is ready to be stopped again, which would stop it first.
func (sh *shell) ctrlZ() {
	sh.T.Helper()
	if strings.Contains(sh.prefix, "notify") || strings.Contains(sh.prefix, "connect") {
		harness.Eventually(sh.T, "fstrace holds back stops", func() bool { return sh.holdsStops() })
	}
	sh.Send(harness.CtrlZ)
}

// holdsStops reports whether each thread of fstrace does.
func (sh *shell) holdsStops() bool {
	for _, p := range harness.SessionOf(sh.T, sh.Cmd.Process.Pid) {
		if filepath.Base(p.Exe) != "fstrace" {
			continue
		}
		threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/[0-9]*", p.PID))
		for _, thread := range threads {
			tid, _ := strconv.Atoi(filepath.Base(thread))
			mask, err := strconv.ParseUint(harness.StatusField(tid, "SigBlk"), 16, 64)
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
	sh.T.Helper()
	sh.Until("Stopped")
	sh.Until("prompt>")
	// The shell speaks for its child. Another process of the job that was reading may
	// still be about to stop, and take what is typed now.
	harness.Eventually(sh.T, "all of the job is stopped", func() bool {
		for _, p := range harness.SessionOf(sh.T, sh.Cmd.Process.Pid) {
			if p.PID != sh.Cmd.Process.Pid && !strings.ContainsRune("TtZX", rune(p.State)) {
				return false
			}
		}
		return true
	})
	sh.Send("echo shell is '<'back'>'\n")
	sh.Until("shell is <back>")
	sh.Until("prompt>")
}

// jobStopped waits until the shell finds its background job stopped.
func (sh *shell) jobStopped() {
	sh.T.Helper()
	harness.Eventually(sh.T, "the job is stopped", func() bool {
		sh.Send("jobs; echo '<'jobs'>'\n")
		return strings.Contains(sh.Until("<jobs>"), "Stopped")
	})
}

// status asks for the status of the last job.
func (sh *shell) status(want string) {
	sh.T.Helper()
	sh.Until("prompt>")
	sh.Send("echo status '<'$?'>'\n")
	sh.Until("status <")
	if got := sh.Until(">"); got != want {
		sh.T.Errorf("status %s, want %s", got, want)
	}
	sh.Until("prompt>")
}

// A program that uses the whole terminal gets the time to give it back, and takes
// it again when it is continued (testdata/lifecycle/suspender.c).
func TestJobThatHandlesStop(t *testing.T) {
	exe := harness.BuildC(t, "gcc", "lifecycle/suspender")
	for _, how := range []string{"itself", "group", "stop"} {
		t.Run(how, func(t *testing.T) {
			jobs(t, func(t *testing.T, sh *shell) {
				sh.start(exe + " " + how)
				for _, key := range []string{"a", "b", "c"} {
					sh.Until("<drawn>")
					sh.Send(key)
					sh.Until("<key " + key + ">")
					sh.ctrlZ()
					sh.Until("<given back>")
					sh.stopped()
					sh.Send("fg\n")
				}
				sh.Until("<drawn>")
				sh.Send("q")
				sh.Until("<stops ")
				if got := sh.Until(">"); got != "3 continues 3" {
					t.Errorf("stops %s, want 3 of each", got)
				}
				sh.status("6")
			})
		})
	}
}

func TestJobLess(t *testing.T) {
	harness.NeedTool(t, "less")
	jobs(t, func(t *testing.T, sh *shell) {
		sh.line(`seq -f 'line%g.' 200 >text`)
		sh.start("env TERM=vt100 LESS= less text")
		for range 2 {
			sh.Until("line5.")
			sh.ctrlZ()
			sh.stopped()
			sh.Send("fg\n")
		}
		sh.Until("line5.")
		sh.Send("q")
		sh.status("0")
	})
}

func TestJobVim(t *testing.T) {
	harness.NeedTool(t, "vim")
	jobs(t, func(t *testing.T, sh *shell) {
		// It asks the terminal for nothing: what is typed would be taken for the answer.
		sh.start("env TERM=vt100 vim --cmd 'set t_u7=' -u NONE -i NONE -n -N text")
		sh.Until("[New]")
		sh.Send("ifirst\x1b")
		sh.Until("first")
		sh.ctrlZ()
		sh.stopped()
		sh.Send("fg\n")
		sh.Until("first")
		sh.Send("asecond\x1b:wq\r")
		sh.status("0")
		content, err := os.ReadFile(filepath.Join(sh.Cmd.Dir, "text"))
		if err != nil || string(content) != "firstsecond\n" {
			t.Errorf("vim wrote %q (%v)", content, err)
		}
	})
}

// Ctrl-C and Ctrl-\ end a command that does not handle them.
func TestJobKilledByTerminal(t *testing.T) {
	jobs(t, func(t *testing.T, sh *shell) {
		for key, want := range map[string]string{harness.CtrlC: "130", ctrlBackslash: "131"} {
			sh.start(`sh -c 'echo "<ready"">"; exec sleep 600'`)
			sh.Until("<ready>")
			sh.Send(key)
			sh.status(want)
		}
		sh.start(`sh -c 'trap "exit 9" INT; echo "<ready"">"; while :; do sleep 0.05; done'`)
		sh.Until("<ready>")
		sh.Send(harness.CtrlC)
		sh.status("9")
	})
}

// bg goes on in the background, until the terminal stops a job that reads from it;
// fg takes it back from there.
func TestJobBackground(t *testing.T) {
	jobs(t, func(t *testing.T, sh *shell) {
		harness.WriteFile(t, filepath.Join(sh.Cmd.Dir, "job"),
			`echo "<ready>"; read x <fifo; echo "<read>"; read line; echo "<got $line>"; exit 6`)
		sh.line("mkfifo fifo")
		sh.start("sh job")
		sh.Until("<ready>")
		sh.ctrlZ()
		sh.stopped()
		sh.line("bg")
		sh.Send("echo >fifo\n")
		sh.Until("<read>")
		sh.jobStopped()
		sh.Send("fg\n")
		sh.Send("typed\n")
		sh.Until("<got typed>")
		sh.status("6")
	})
}

// A job that begins in the background and reads from the terminal is stopped.
func TestJobReadsInBackground(t *testing.T) {
	jobs(t, func(t *testing.T, sh *shell) {
		sh.Send(sh.prefix + "cat &\n")
		sh.Until("prompt>")
		sh.jobStopped()
		sh.Send("fg\n")
		sh.Until("cat")
		sh.Send("typed\n")
		sh.Until("typed\r\ntyped")
		sh.Send("\x04")
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
				sh.Send(strings.ReplaceAll(job, "PREFIX", strings.Replace(sh.prefix, "record", `record$((n=n+1))`, 1)) + "\n")
				for _, word := range []string{"one", "two"} {
					sh.Send(word + "\n")
					sh.Until("<got " + word + ">")
					sh.ctrlZ()
					sh.stopped()
					sh.Send("fg\n")
				}
				sh.Send("end\n")
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
		sh.Until("inner>")
		for range 2 {
			sh.Send(echoer + "\n")
			sh.Until("<ready>")
			sh.Send("typed\n")
			sh.Until("<got typed>")
			sh.ctrlZ()
			sh.Until("Stopped")
			sh.Until("inner>")
			sh.Send("fg\n")
			sh.Until("sh -c")
			sh.Send("again\n")
			sh.Until("<got again>")
			sh.Send(harness.CtrlC)
			sh.Until("inner>")
			sh.Send("suspend\n")
			sh.stopped()
			sh.Send("fg\n")
			sh.Until("inner>")
		}
		sh.Send("sleep 600 & echo '<'$!'>'\n")
		sh.Until("<")
		sh.Until(">")
		sh.Until("inner>")
		sh.Send("kill %1; wait; exit 7\n")
		sh.status("7")
	})
}

// So does a script with "set -m", which runs its jobs in the foreground in turn.
func TestJobMonitorScript(t *testing.T) {
	jobs(t, func(t *testing.T, sh *shell) {
		harness.WriteFile(t, filepath.Join(sh.Cmd.Dir, "script"), "set -m\ntrap : INT\n"+
			echoer+"\necho \"<first $?>\"\n"+echoer+"\necho \"<second $?>\"\nfg\necho \"<third $?>\"\nexit 6\n")
		sh.start("bash script")
		sh.Until("<ready>")
		sh.Send("typed\n")
		sh.Until("<got typed>")
		sh.Send(harness.CtrlC)
		sh.Until("<first 130>")
		sh.Until("<ready>")
		sh.ctrlZ()
		sh.Until("<second 148>")
		sh.Send("again\n")
		sh.Until("<got again>")
		sh.Send("\x04")
		sh.Until("<third 0>")
		sh.status("6")
	})
}

// A change of the window's size reaches the command, once.
func TestJobWindowSize(t *testing.T) {
	exe := harness.BuildC(t, "gcc", "lifecycle/suspender")
	jobs(t, func(t *testing.T, sh *shell) {
		sh.start(exe)
		sh.Until("<drawn>")
		for _, size := range []pty.Winsize{{Rows: 31, Cols: 101}, {Rows: 17, Cols: 55}, {Rows: 40, Cols: 132}} {
			if err := pty.Setsize(sh.TTY, &size); err != nil {
				t.Fatal(err)
			}
			sh.Until("<size ")
			if got, want := sh.Until(">"), fmt.Sprintf("%d %d", size.Rows, size.Cols); got != want {
				t.Errorf("size %s, want %s", got, want)
			}
		}
		sh.Send("a")
		if before := sh.Until("<key a>"); strings.Contains(before, "<size") {
			t.Errorf("one change of size was told twice: %q", before)
		}
		sh.Send("q")
		sh.status("6")
	})
}

// What is waited for after the command's own end stops as a job does.
func TestJobOutlivesCommand(t *testing.T) {
	sh := &shell{harness.OpenTerminal(t, harness.NeedTool(t, "bash"), "--norc", "--noprofile", "-i"), ""}
	held := harness.NewFIFO(t, sh.Cmd.Dir, "held")
	sh.Until("prompt>")
	sh.Send(`fstrace -f jsonl -o record --wait all -- sh -c 'cat held & echo "<ready"">"; exit 6'` + "\n")
	sh.Until("<ready>")
	harness.Eventually(t, "cat is all that is left", func() bool {
		left := slices.DeleteFunc(harness.SessionOf(t, sh.Cmd.Process.Pid), func(p harness.Process) bool { return p.PID == sh.Cmd.Process.Pid })
		names := make([]string, 0, len(left))
		for _, p := range left {
			names = append(names, filepath.Base(p.Exe))
		}
		slices.Sort(names)
		return slices.Equal(names, []string{"cat", "fstrace"})
	})
	for range 2 {
		sh.ctrlZ()
		sh.stopped()
		sh.Send("fg\n")
		sh.Until("fstrace")
		harness.Eventually(t, "the job goes on", func() bool {
			return !slices.ContainsFunc(harness.SessionOf(t, sh.Cmd.Process.Pid), func(p harness.Process) bool { return p.State == 'T' || p.State == 't' })
		})
	}
	held.Release(t, func() bool { return false })
	sh.status("6")
	if r := harness.ReadRecord(t, filepath.Join(sh.Cmd.Dir, "record")); !r.Complete() {
		t.Errorf("trailer: %v", r.Trailer)
	}
	sh.Send("exit\n")
	sh.Cmd.Wait()
}

// A terminal that is closed hangs up on the command: the shell does, and the kernel
// when the shell ends. Once is enough: the second must not interrupt what the first
// has begun.
func TestJobHangup(t *testing.T) {
	for _, prefix := range prefixes {
		t.Run(prefix.name, func(t *testing.T) {
			term := &shell{harness.OpenTerminal(t, harness.NeedTool(t, "bash"), "--norc", "--noprofile", "-i"), prefix.words}
			hangup := harness.NewFIFO(t, term.Cmd.Dir, "hangup").ExpectVisitor(t)
			term.Until("prompt>")
			term.daemon()
			term.Send(strings.Replace(prefix.words, "record", "/dev/null", 1) + `sh -c 'trap "trap \"\" HUP; : >hangup; exit" HUP; echo "<ready"">"; while :; do sleep 0.05; done'` + "\n")
			term.Until("<ready>")
			term.TTY.Close()
			hangup.Await()
			term.Cmd.Wait()
		})
	}
}
