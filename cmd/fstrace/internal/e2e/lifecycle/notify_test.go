// Package lifecycle tests how processes are followed, from their start to their end.
package lifecycle

import (
	"bufio"
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
	"golang.org/x/sys/unix"
)

// Following without ptrace: by notifications, pidfds and /proc.

// A set-user-ID program run by root has the identity of its file's owner, under
// either lifecycle: no_new_privs is not needed for root's filter, and a tracer
// with CAP_SYS_PTRACE does not take privileges away.
func TestSetuidKeepsIdentity(t *testing.T) {
	harness.NeedRoot(t, "to make a set-user-ID program of another user")
	exe := harness.BuildC(t, "gcc", "lifecycle/identity")
	if err := os.Chown(exe, int(harness.Nobody.Uid), int(harness.Nobody.Gid)); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []os.FileMode{os.ModeSetuid, os.ModeSetgid, os.ModeSetuid | os.ModeSetgid} {
		t.Run(mode.String(), func(t *testing.T) {
			if err := os.Chmod(exe, mode|0o755); err != nil {
				t.Fatal(err)
			}
			tr := &harness.Trial{Dir: harness.OpenDir(t)}
			bare := tr.Bare(t, exe)
			if !strings.Contains(bare.Stdout, " 65534 ") {
				t.Skipf("%s is on a file system that does not honour it (nosuid): %s", exe, bare.Stdout)
			}
			for _, lifecycle := range harness.Lifecycles {
				t.Run(lifecycle, func(t *testing.T) {
					in := &harness.Trial{Dir: tr.Dir, Flags: []string{"--lifecycle", lifecycle}}
					traced, r := in.Traced(t, exe)
					harness.Same(t, bare, traced, nil)
					harness.WantComplete(t, r)
				})
			}
		})
	}
}

// The exits of processes that are nobody's children here are known, whether their
// parents reap them at once, late, or never.
func TestNotifyExits(t *testing.T) {
	for name, test := range map[string]struct {
		script string
		want   map[string]int // how many processes ended so
	}{
		"reaped":   {`cat /dev/null; sh -c 'cat /dev/null; exit 4'; exit 5`, map[string]int{"0": 2, "4": 1, "5": 1}},
		"killed":   {`sh -c 'cat /dev/null; kill -KILL $$'; exit 5`, map[string]int{"0": 1, "SIGKILL": 1, "5": 1}},
		"orphaned": {`sh -c 'sh -c "cat <go; cat /dev/null; exit 4" & exit 3'; echo >go; wait; exit 5`, map[string]int{"0": 2, "3": 1, "4": 1, "5": 1}},
		"unreaped": {`sh -c 'exec cat /dev/null' & exec sh -c 'until ! [ -e /proc/$0/exe ]; do :; done; exit 5' $!`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			harness.NewFIFO(t, dir, "go")
			tr := &harness.Trial{Dir: dir, Flags: []string{"--lifecycle", "notify", "--wait", "all"}}
			got, r := tr.Traced(t, "sh", "-c", test.script)
			if s := harness.StatusName(got.Status); s != "5" {
				t.Errorf("ended with %s, want 5: %s", s, got.Stderr)
			}
			harness.WantComplete(t, r)
			if name != "orphaned" { // who made it cannot be known when it makes its first call
				harness.CheckProcesses(t, r.Events)
			}
			if test.want == nil {
				return
			}
			ends := map[string]int{}
			for _, e := range r.Events {
				if e.Op != "exit" {
					continue
				}
				if e.Signal != "" {
					ends[e.Signal]++
				} else {
					ends[strconv.Itoa(e.Code)]++
				}
			}
			for end, n := range test.want {
				if ends[end] != n {
					t.Errorf("%d processes ended with %s, want %d: %v", ends[end], end, n, ends)
				}
			}
		})
	}
}

// With fstrace killed, a command that it did not trace goes on, and its calls
// work: the keeper lets them through.
func TestNotifyOutlivesFstrace(t *testing.T) {
	dir := harness.OpenDir(t)
	exe := harness.Fstrace(t)
	cmd := exec.Command(exe, "--lifecycle", "notify", "-o", filepath.Join(dir, "record"), "--", "sh", "-c",
		`echo $$; read line; cat "$0" || exit 1; echo "<done>"; read line; exit 0`, filepath.Join(dir, "file"))
	harness.WriteFile(t, filepath.Join(dir, "file"), "content\n")
	stdin, theirs, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	defer theirs.Close()
	cmd.Stdin = stdin
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := out.(*os.File).SetReadDeadline(time.Now().Add(harness.Patience)); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	first, err := lines.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil {
		t.Fatal(err)
	}
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	cmd.Process.Kill()
	cmd.Process.Wait() // cmd.Wait would close our end of its output
	io.WriteString(theirs, "go on\n")
	for _, want := range []string{"content\n", "<done>\n"} {
		if got, err := lines.ReadString('\n'); got != want {
			t.Errorf("the command printed %q (%v), want %q", got, err, want)
		}
	}
	io.WriteString(theirs, "end\n")
	harness.Gone(t, pidfd)
	(&harness.Session{T: t, Exe: exe}).NothingLeft() // the keeper has gone too
}

// A stop of the command's by a signal is seen and followed without ptrace too.
func TestNotifyStop(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(harness.Fstrace(t), "--lifecycle", "notify", "-o", filepath.Join(dir, "record"), "--",
		"sh", "-c", `kill -TSTP $$; exit 6`)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	harness.AwaitStop(t, cmd)
	if err := syscall.Kill(-cmd.Process.Pid, unix.SIGCONT); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	if got := harness.StatusName(cmd.ProcessState.Sys().(syscall.WaitStatus)); got != "6" {
		t.Errorf("fstrace ended with %s, want 6", got)
	}
}
