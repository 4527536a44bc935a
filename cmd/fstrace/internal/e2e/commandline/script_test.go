// Package commandline tests how the command line behaves, by scripts.
package commandline

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fstrace/fstrace/testdata/harness"
	"github.com/rogpeppe/go-internal/testscript"
)

// TestScripts runs testdata/script: how the command line behaves, one behaviour
// a file. The language is testscript's, with the commands below; fstrace is in
// PATH.
func TestScripts(t *testing.T) {
	bin := filepath.Dir(harness.Fstrace(t))
	testscript.Run(t, testscript.Params{
		Dir:                 harness.Source("testdata", "script"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", bin+":"+harness.StandardPath)
			env.Setenv("LC_ALL", "C")
			return os.Chmod(filepath.Dir(env.WorkDir), 0o755) // for scripts that become another user
		},
		Condition: scriptCondition,
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"status": scriptStatus,
			"lines":  scriptLines,
			"daemon": scriptDaemon(t),
		},
	})
}

// scriptCondition implements [root], and [tool:NAME], which is [exec:NAME] but for
// CI, where all tools have to be there.
func scriptCondition(cond string) (bool, error) {
	name, isTool := strings.CutPrefix(cond, "tool:")
	switch {
	case cond == "root":
		return os.Getuid() == 0, nil
	case !isTool:
		return false, fmt.Errorf("unknown condition %q", cond)
	}
	_, err := exec.LookPath(name)
	if err != nil && os.Getenv("CI") == "true" {
		return false, err
	}
	return err == nil, nil
}

// scriptStatus implements "status STATUS COMMAND [ARG...]": exec, which must end
// with the exit status, a number, or by the signal, a name like SIGTERM.
func scriptStatus(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status STATUS COMMAND [ARG...]")
	}
	got := "0"
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = harness.StatusName(exit.Sys().(syscall.WaitStatus))
	}
	if got != args[0] {
		ts.Fatalf("status %s, want %s", got, args[0])
	}
}

// scriptLines implements "lines N FILE", where FILE may be stdout or stderr: it
// must have that many lines.
func scriptLines(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: lines N FILE")
	}
	content := ts.ReadFile(args[1])
	if n := strings.Count(content, "\n"); strconv.Itoa(n) != args[0] {
		ts.Fatalf("%s has %d lines, want %s:\n%s", args[1], n, args[0], content)
	}
}

// scriptDaemon implements "daemon [FLAG...]" for scripts: a daemon at the default
// socket, which $socket names. "daemon kill" kills it.
func scriptDaemon(t testing.TB) func(ts *testscript.TestScript, neg bool, args []string) {
	exe := harness.Fstraced.Install(t, harness.OpenDir(t))
	var mu sync.Mutex
	running := map[*testscript.TestScript]*exec.Cmd{}
	end := func(ts *testscript.TestScript, sig syscall.Signal) {
		mu.Lock()
		cmd := running[ts]
		delete(running, ts)
		mu.Unlock()
		if cmd != nil {
			cmd.Process.Signal(sig)
			over := time.AfterFunc(3*harness.Patience, func() { cmd.Process.Kill() })
			defer over.Stop()
			var exit *exec.ExitError
			if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
				ts.Fatalf("fstraced: %v", err)
			}
		}
	}
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg {
			ts.Fatalf("usage: daemon [FLAG...], daemon kill")
		}
		if len(args) == 1 && args[0] == "kill" {
			end(ts, syscall.SIGKILL)
			return
		}
		dir := ts.MkAbs("daemon")
		socket := filepath.Join(dir, "fstrace", "socket")
		ts.Check(os.MkdirAll(dir, 0o700))
		cmd := exec.Command(exe, append([]string{"--spool-dir", dir, "--drain", "cancel", "--grace", "1s"}, args...)...)
		cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+dir, "XDG_CACHE_HOME="+dir)
		cmd.WaitDelay = harness.Patience
		ts.Check(cmd.Start())
		mu.Lock()
		running[ts] = cmd
		mu.Unlock()
		ts.Defer(func() { end(ts, syscall.SIGTERM) })
		deadline, again := time.After(harness.Patience), time.NewTicker(5*time.Millisecond)
		defer again.Stop()
		for !harness.Serves(socket) {
			select {
			case <-deadline:
				ts.Fatalf("fstraced does not serve %s", socket)
			case <-again.C:
			}
		}
		ts.Setenv("XDG_RUNTIME_DIR", dir)
		ts.Setenv("socket", socket)
	}
}
