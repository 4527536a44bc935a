package main_test

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// TestScripts runs testdata/script: how the command line behaves, one behaviour
// a file. The language is testscript's, with the commands below; fstrace is in
// PATH.
func TestScripts(t *testing.T) {
	bin := filepath.Dir(fstraceBinary(t))
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("..", "..", "testdata", "script"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", bin+":"+standardPath)
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
		got = statusName(exit.Sys().(syscall.WaitStatus))
	}
	if got != args[0] {
		ts.Fatalf("status %s, want %s", got, args[0])
	}
}

// statusName is how a process ended: its exit status, or a signal's name.
func statusName(s syscall.WaitStatus) string {
	if s.Signaled() {
		return cmp.Or(unix.SignalName(s.Signal()), "SIGNAL"+strconv.Itoa(int(s.Signal())))
	}
	return strconv.Itoa(s.ExitStatus())
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
