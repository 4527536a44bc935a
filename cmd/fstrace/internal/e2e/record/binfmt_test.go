package record

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fstrace/fstrace/testdata/harness"
)

// inFormats runs a shell script in a user namespace that has a binary format of its
// own: files *.fmt are run by the file "interpreter" in the working directory, which
// is dir. $0 is fstrace.
func inFormats(t *testing.T, dir, script string) string {
	t.Helper()
	const mount = `mount -t binfmt_misc none /proc/sys/fs/binfmt_misc`
	unshare := harness.NeedTool(t, "unshare")
	if out, err := exec.Command(unshare, "-Urm", "sh", "-c", mount).CombinedOutput(); err != nil {
		t.Skipf("a user namespace cannot have binary formats of its own here (Linux 6.7 and later can): %v\n%s", err, out)
	}
	const register = mount + ` && echo ":fmt:E::fmt::$PWD/interpreter:" >/proc/sys/fs/binfmt_misc/register && `
	cmd := exec.Command(unshare, "-Urm", "sh", "-c", register+script, harness.Fstrace(t))
	cmd.Dir = dir
	cmd.Env = append(cmd.Environ(), "XDG_CACHE_HOME="+filepath.Join(dir, "cache"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return string(out)
}

// TestBinaryFormat: an interpreter that the kernel chooses by binfmt_misc, which no
// call names, is an input.
func TestBinaryFormat(t *testing.T) {
	interpreters := map[string]string{
		"program": `cp "$(command -v cat)" interpreter; other=$(command -v tac)`,
		"script":  `printf '#!/bin/sh\ncat "$1"\n' >interpreter; printf '#!/bin/sh\ntac "$1"\n' >other; other=other`,
	}
	for name, prepare := range interpreters {
		for _, lifecycle := range []string{"ptrace", "notify"} {
			t.Run(name+"/"+lifecycle, func(t *testing.T) {
				dir := harness.OpenDir(t)
				harness.WriteExecutable(t, filepath.Join(dir, "prog.fmt"), []byte("data\n"))
				harness.WriteExecutable(t, filepath.Join(dir, "interpreter"), nil)
				out := inFormats(t, dir, prepare+`; chmod 755 interpreter
					"$0" -f jsonl -o record --lifecycle `+lifecycle+` -- ./prog.fmt
					"$0" -f manifest -o manifest --lifecycle `+lifecycle+` -- ./prog.fmt
					"$0" check manifest; echo unchanged $?
					cat "$other" >interpreter
					"$0" check manifest; echo replaced $?`)
				want := "data\ndata\nunchanged 0\ncontent changed: " + filepath.Join(dir, "interpreter") + "\nreplaced 1\n"
				if out != want {
					t.Errorf("got\n%s\nwant\n%s", out, want)
				}
				checkFormatRecord(t, harness.ReadRecord(t, filepath.Join(dir, "record")), dir, name == "script")
			})
		}
	}
}

// checkFormatRecord: the program is executed, then its interpreter, then what that
// needs, and then the process says that it runs it.
func checkFormatRecord(t *testing.T, r *harness.Record, dir string, isScript bool) {
	t.Helper()
	if !r.Complete() {
		t.Errorf("incomplete: %v", r.Reasons())
	}
	var order []string
	for _, e := range r.Events {
		if e.Op == "exec" && e.Syscall != "" {
			order = append(order, strings.TrimPrefix(e.Path, dir+"/"))
		}
	}
	at := slices.Index(order, "prog.fmt")
	if at < 0 || len(order) < at+3 || order[at+1] != "interpreter" {
		t.Fatalf("executed are %q", order)
	}
	loader := order[len(order)-1]
	if isScript && !slices.Contains(order[at+2:], "/usr/bin/sh") && !slices.Contains(order[at+2:], "/bin/sh") {
		t.Errorf("the shell is not among %q", order)
	}
	if !strings.Contains(loader, "ld-") {
		t.Errorf("the last is %s of %q", loader, order)
	}
}
