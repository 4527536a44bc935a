package verdicts

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fstrace/fstrace/testdata/harness"
)

// A verdictRow is a command, a change, and what check must say after it. The want of
// notAsked leaves a question out; with no change, the questions are asked of what the
// command left, and of what it found.
type verdictRow struct {
	name    string
	setup   string // a shell script, as root
	command string // a shell script
	change  string // a shell script, to what the command left, and to what it found
	// Where the second is another one.
	changeFound string
	left, found int
	// What check --as-found says of what the command left, with no change.
	again  int
	nobody bool
	strict bool // all times count
	tools  []string
}

const (
	notAsked = -1
	notValid = -2 // stale, or cannot tell
)

// TestVerdictRows has a row for each way in which a manifest once promised too much, or
// too little.
func TestVerdictRows(t *testing.T) {
	l := newVerdictLab(t)
	l.settles = true
	for _, rows := range [][]verdictRow{chmodRows, failureRows, linkRows, formerRows, toldRows} {
		for _, r := range rows {
			t.Run(strings.ReplaceAll(r.name, " ", "_"), func(t *testing.T) { r.run(t, l) })
		}
	}
}

func (r verdictRow) run(t *testing.T, l *verdictLab) {
	if knownVerdicts["row: "+r.name] {
		t.Skip("known to be wrong")
	}
	for _, tool := range r.tools {
		harness.NeedTool(t, tool)
	}
	if err := l.restore(tree{".": {Type: 'd', Mode: 0o755, Mtime: pristineTime}}); err != nil {
		t.Fatal(err)
	}
	p := &program{Shell: true, Lines: []string{r.command}, Told: r.strict}
	if r.nobody {
		p.UID = nobodyUID
	}
	must := func(script string) {
		t.Helper()
		if end, err := l.exec(rootUID, l.dir, "/bin/sh", "-c", script); err != nil || end.status != 0 {
			t.Fatalf("%s: %v %v", script, end, err)
		}
	}
	must(r.setup)
	before, err := snapshot(l.dir)
	if err != nil {
		t.Fatal(err)
	}
	before = before.aged(pristineTime)
	if _, _, err := l.traced(p, before); err != nil {
		t.Fatal(err)
	}
	l.want(t, p, "at once", harness.ExitValid, false)
	l.want(t, p, "as found, after the command", r.again, true)
	if r.left != notAsked && r.change != "" {
		must(r.change)
		l.want(t, p, "as left", r.left, false)
	}
	if r.found == notAsked {
		return
	}
	if err := l.restore(before); err != nil {
		t.Fatal(err)
	}
	l.want(t, p, "as found, at once", harness.ExitValid, true)
	if r.changeFound == "" {
		r.changeFound = r.change
	}
	if r.changeFound != "" {
		must(r.changeFound)
		l.want(t, p, "as found", r.found, true)
	}
}

// both is a row of which both questions have the same answer, and the second is not
// asked of what the command left.
func both(status int, name, setup, command, change string) verdictRow {
	return verdictRow{name: name, setup: setup, command: command, change: change, left: status, found: status, again: notAsked}
}

// asLeft and asFound are rows of one question.
func asLeft(status int, name, setup, command, change string) verdictRow {
	r := both(status, name, setup, command, change)
	r.found = notAsked
	return r
}

func asFound(status int, name, setup, command, change string) verdictRow {
	r := both(status, name, setup, command, change)
	r.left = notAsked
	return r
}

func (r verdictRow) unprivileged() verdictRow { r.nobody = true; return r }

func (r verdictRow) needs(tools ...string) verdictRow { r.tools = tools; return r }

func (r verdictRow) foundChange(change string) verdictRow { r.changeFound = change; return r }

func (r verdictRow) told() verdictRow { r.strict = true; return r }

func (r verdictRow) then(again int) verdictRow { r.again = again; return r }

// chmodRows are of inputs whose mode the command changes.
var chmodRows = []verdictRow{
	both(1, "read, chmod, edited", "echo aaa >f", "cat f; chmod 755 f", "echo bbb >f"),
	both(1, "chmod, read, edited", "echo aaa >f", "chmod 755 f; cat f", "echo bbb >f"),
	both(1, "chmod, list, new name", "mkdir -m 700 d; touch d/a", "chmod 755 d; ls d", "touch d/b"),
	both(1, "stat, chmod, edited", "echo aaa >f", "stat -c %s%Y f; chmod 755 f", "echo bbbbbb >f"),
	both(1, "list, rename away and back", "mkdir e; touch e/a", "ls e; mv e e2; mv e2 e", "touch e/b"),
	both(1, "list, rename", "mkdir k; touch k/a", "ls k; mv k k2", "touch k2/b").foundChange("touch k/b"),
	both(1, "chmod, execute", `printf '#!/bin/sh\necho 1\n' >s`, "chmod +x s; ./s", `printf '#!/bin/sh\necho 2\n' >s`),
	both(1, "chmod -R, tar", "umask 077; mkdir d; echo 1 >d/f", "chmod -R a+rX d; tar c d | cksum", "echo 2 >d/f"),
	both(1, "chmod -R, ls", "umask 077; mkdir d; echo 1 >d/f", "chmod -R a+rX d; ls d", "touch d/new"),
	both(1, "a key", "echo k >key", "chmod 600 key; cat key", "echo K >key"),
	both(1, "install -d", "mkdir b; echo 1 >b/x", "install -d -m 700 b; ls b", "touch b/n"),
	both(1, "chmod, find", "mkdir -m 755 b; echo 1 >b/x", "chmod 700 b; find b -type f", "touch b/n"),
	both(1, "rsync changes a mode", "mkdir s d; echo 1 >s/f; cp -p s/f d/f; chmod 755 s/f", "rsync -a s/ d; cat d/f", "echo 9 >d/f").needs("rsync"),
	both(1, "make reads what it made writable", "printf 'a: ;@cat v\n' >Makefile; echo 1 >v; chmod 444 v", "chmod u+w v; make -s", "echo 2 >v").needs("make"),
	both(1, "read, chmod", "mkdir -p n/bin; echo 1 >n/bin/cli", "cat n/bin/cli; chmod 755 n/bin/cli", "echo 2 >n/bin/cli"),
	both(1, "git update-index --chmod", "git init -q .; echo a >a; git add a; git -c user.name=a -c user.email=b commit -qm x",
		"git update-index --chmod=+x a; chmod +x a; git diff", "echo b >a").needs("git"),
}

// failureRows are of operations that failed and would succeed now, or the other way.
var failureRows = []verdictRow{
	both(1, "directory not empty", "mkdir e; touch e/x", "rmdir e 2>/dev/null && echo removed || echo kept", "rm e/x"),
	both(1, "directory not empty, then gone", "mkdir e; touch e/x", "rmdir e", "rm -r e"),
	asFound(1, "mkdir lock", "", "mkdir lock 2>/dev/null && echo got || echo busy", "mkdir lock"),
	asFound(1, "set -C", "", "set -C; (echo x >lock) 2>/dev/null && echo got || echo busy", "echo x >lock"),
	asFound(1, "set -C, other content", "", "set -C; (echo x >lock) 2>/dev/null && echo got || echo busy", "echo other >lock"),
	asFound(1, "append to what is absent", "", "echo x >>log; cat log", "echo old >log"),
	asFound(1, "ln -s, name taken", "", "ln -s a l 2>/dev/null && echo made || echo failed", "touch l"),
	asFound(1, "mv, source removed", "mkdir e; echo 1 >m", "mv m e/ 2>/dev/null && echo moved || echo failed", "rm m"),
	asFound(1, "gzip, source removed", "echo 1 >f", "gzip -n f 2>/dev/null && echo ok || echo failed", "rm f"),
	asFound(1, "rm, target removed", "echo 1 >f", "rm f 2>/dev/null && echo ok || echo failed", "rm f"),
	asFound(1, "directory of an output gone", "mkdir out", "(echo 1 >out/x) 2>/dev/null && echo ok || echo failed", "rmdir out"),
	both(1, "create below absent", "", "(echo 1 >d/x) 2>/dev/null && echo ok || echo failed", "mkdir d"),
	both(1, "create below absent, now a link", "mkdir e", "(echo 1 >d/x) 2>/dev/null && echo ok || echo failed", "ln -s e d"),
	both(1, "symlink below absent, now a link", "mkdir e", "ln -s q d/x 2>/dev/null && echo ok || echo failed", "ln -s e d"),
	both(1, "mkdir below absent", "", "mkdir d/x 2>/dev/null && echo ok || echo failed", "mkdir d"),
	both(1, "rename below absent", "touch m", "mv -T m d/x 2>/dev/null && echo ok || echo failed", "mkdir d"),
	both(1, "link below absent", "touch m", "ln m d/x 2>/dev/null && echo ok || echo failed", "mkdir d"),
	both(1, "rename over a directory that is not empty", "mkdir a b; touch b/x", "mv -T a b 2>/dev/null && echo ok || echo failed", "rm b/x"),
	both(1, "unlink a directory", "mkdir a", "unlink a 2>/dev/null && echo ok || echo failed", "rmdir a; touch a"),
	asFound(1, "mode of what is written over", "echo 1 >o; chmod 644 o", "echo 2 >o; stat -c %a o", "chmod 755 o"),
	both(1, "absent directory, then a file", "", "cat d/x", "touch d"),
	both(1, "rm -f below absent", "", "rm -f d/x && echo ok || echo failed", "touch d"),
	asFound(1, "mkdir -p, name taken", "", "mkdir -p p/q 2>/dev/null && echo ok || echo failed", "touch p"),
	both(1, "not removed, and something new in it", "mkdir -p c/a", "rmdir c 2>/dev/null && echo removed || echo kept; echo x >c/c", "rmdir c/a"),
	both(1, "a directory that is left by dots", "mkdir -p b/a; echo 1 >f", "cat b/a/../../f", "rmdir b/a"),
	both(1, "made beside a directory that is left by dots", "mkdir -p b/a", "(echo 1 >b/a/../n) 2>/dev/null && echo ok || echo failed", "rmdir b/a"),
	both(1, "refused beside a directory that is left by dots", "mkdir -p b/a", "unlink b/a/../n 2>&1 || true", "rmdir b/a; echo >b/a"),
	both(1, "rename below absent to a dot", "mkdir -p b/b/a", `python3 -I -c 'import os; os.rename("a/a/a", ".")' 2>/dev/null && echo ok || echo failed`, "ln -s b/b a").needs("python3"),
	both(1, "renamed within itself", "mkdir a", "mv a a/b 2>/dev/null && echo ok || echo failed; ls", "rmdir a"),
	both(1, "denied by a directory", "mkdir -m 755 e", "echo x >e/o 2>/dev/null && echo cached || echo no cache", "chmod 777 e").unprivileged(),
	both(1, "allowed by a directory", "mkdir -m 777 e", "echo x >e/o 2>/dev/null && echo cached || echo no cache", "chmod 755 e").unprivileged(),
	both(1, "denied by an owner", "echo x >f; chmod 600 f", "cat f", "chown 65534 f").unprivileged(),
}

// linkRows are of directories that become links, and of links that lead elsewhere.
var linkRows = []verdictRow{
	both(0, "renamed, a link in its place", "mkdir a b; echo one >a/f; echo two >b/f", "cat a/f; mv a c; ln -s b a", ""),
	both(0, "a link put over another", "mkdir r1 r2; echo one >r1/f; echo two >r2/f; ln -s r1 cur", "cat cur/f; ln -sfn r2 cur; cat cur/f", ""),
	both(0, "removed, a link in its place", "mkdir a b; echo one >a/f; echo two >b/f", "cat a/f; rm -r a; ln -s b a", ""),
	both(0, "renamed, another in its place", "mkdir a b; echo one >a/f; echo two >b/f", "cat a/f; mv a c; mv b a; cat a/f", ""),
	both(0, "below, renamed, a link in its place", "mkdir -p a/n b/n; echo one >a/n/f; echo two >b/n/f", "cat a/n/f; mv a/n a/o; ln -s ../b/n a/n; cat a/n/f", ""),
	both(0, "removed, a file in its place", "mkdir a; echo one >a/f", "cat a/f; ls a/; rm -r a; echo x >a", ""),
	both(1, "renamed, a link in its place, edited", "mkdir a b; echo one >a/f; echo two >b/f", "cat a/f; mv a c; ln -s b a", "echo three >c/f").foundChange("echo three >a/f"),
	both(1, "a name that is never seen, after another was removed", "echo x >a; ln a b; ln a c", "rm c; echo y >a", "rm b"),
	both(0, "a name that is never seen", "echo x >a; ln a b; ln a c", "rm c; echo y >a", ""),
	both(0, "a name that is made", "echo x >a", "ln a c; echo y >a", ""),
	both(1, "another name of what the command wrote", "echo x >a; ln a c", `x=$(cat a); echo "$x" >a; : >>c`, "mv c d"),
	both(1, "a link retargeted", "mkdir r1 r2; echo one >r1/f; echo two >r2/f; ln -s r1 cur", "cat cur/f", "ln -sfn r2 cur"),
}

// formerRows are of what stood where outputs stand, and of outputs.
var formerRows = []verdictRow{
	asLeft(0, "a counter", "echo 1 >n", "n=$(cat n); echo $((n+1)) >n", "").then(1),
	asLeft(0, "a log", "", "echo x >>log", "").then(1),
	asLeft(1, "a FIFO that was made", "", "mkfifo p", "rm p"),
	asLeft(1, "a hard link that was made", "echo a >h", "ln h h2", "rm h2; echo b >h2"),
	asLeft(1, "a hard link that was made is broken", "echo a >h", "ln h h2", "cp h h3; mv h3 h2"),
	asFound(1, "another name of what is written over", "echo 1 >o", "echo 2 >o; echo ok", "ln o p"),
	asLeft(1, "a socket that was made", "", `python3 -I -c 'import socket; socket.socket(1).bind("s")'`, "rm s").needs("python3"),
	both(1, "half done", "echo 1 >a; echo 2 >b", "t=$(cat a); cat b >a; echo $t >b", "echo 2 >b").foundChange("echo 2 >a"),
	asLeft(1, "a mode that was set", "echo a >c", "chmod 600 c", "chmod 644 c"),
	asLeft(1, "an owner that was set", "echo a >c", "chown 5 c", "chown 6 c"),
	asLeft(1, "what was removed is back", "echo a >c", "rm c", "echo a >c"),
	asLeft(1, "a name in a directory that was made and listed", "", "mkdir p; touch p/a; ls p", "touch p/x"),
	asLeft(0, "a name in a directory that was made", "", "mkdir p; echo 1 >p/a", "touch p/x"),
	both(0, "removed, made and listed twice", "mkdir d", "ls d; rmdir d; mkdir d; ls d; rmdir d; mkdir d", ""),
	both(0, "stat, list, remove, make", "mkdir d", "stat -c %F d; ls d; rmdir d; mkdir d; stat -c %F d", ""),
	both(0, "a tree removed and made", "mkdir d; touch d/a", "rm -r d; mkdir d; touch d/a; ls d; rm -r d; mkdir d", ""),
	asLeft(0, "a reader beside a rename", "echo 1 >r", "cat r >o1; echo 2 >r.t; mv r.t r; cat r", ""),
}

// toldRows are of times, sizes and what else stat returns.
var toldRows = []verdictRow{
	both(1, "a size", "mkdir q; touch q/1", "ls q >/dev/null; stat -c %s q/1", "echo x >q/1"),
	both(1, "a directory's time", "mkdir w; echo 1 >n", "[ w -nt n ] && echo newer || echo older", "touch w").told(),
	both(1, "a time of the directory of a file written in place", "mkdir w; echo 1 >w/n", "stat -c %Y w; echo 2 >w/n", "mkdir w/x").told(),
	both(1, "a time of an open file", "echo 1 >n", "stat -L -c %Y - <n", "touch n").told(),
	both(1, "a time of an open file that is read", "echo 1 >n", `python3 -I -c 'import os; f = open("n"); print(f.read(), os.fstat(f.fileno()).st_mtime)'`, "touch n").told().needs("python3"),
	both(1, "a time of a file opened by its path only", "echo 1 >n", `python3 -I -c 'import os; print(os.fstat(os.open("n", os.O_PATH)).st_mtime)'`, "touch n").needs("python3"),
	both(1, "a time of what is read too", "echo 1 >n", "cat n; stat -c %Y n", "touch n").told(),
	both(0, "a time of what is read", "echo 1 >n", "cat n", "touch n"),
	both(1, "cp -p", "echo 1 >n", "cp -p n m", "touch n").told(),
	both(1, "find -newer", "echo 1 >n; echo 2 >m", "find . -newer m", "touch n").told(),
	both(1, "a link count", "echo 1 >n", "stat -c %h n", "ln n m").told(),
	both(1, "two names of a file", "echo 1 >n; ln n m", "[ n -ef m ] && echo same || echo different", "cp n o; mv o m").told(),
	both(1, "an owner", "echo 1 >n", "stat -c %u n", "chown 5 n").told(),
}

// TestVerdictSharedMemory: /dev/shm is a file system like any other.
func TestVerdictSharedMemory(t *testing.T) {
	l := newVerdictLab(t)
	dir, err := os.MkdirTemp("/dev/shm", "fstrace-test-")
	if err != nil {
		t.Skipf("needs /dev/shm: %v", err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	in, out := filepath.Join(dir, "in"), filepath.Join(dir, "out")
	harness.WriteFile(t, in, "one")
	p := &program{Shell: true, Lines: []string{fmt.Sprintf("cat %s >%s", in, out)}}
	run := func() {
		t.Helper()
		if _, _, err := l.traced(p, tree{".": {Type: 'd', Mode: 0o755, Mtime: pristineTime}}); err != nil {
			t.Fatal(err)
		}
		l.want(t, p, "at once", harness.ExitValid, false)
	}
	run()
	harness.WriteFile(t, in, "two")
	l.want(t, p, "input edited", harness.ExitStale, false)
	run()
	if err := os.Remove(out); err != nil {
		t.Fatal(err)
	}
	l.want(t, p, "output removed", harness.ExitStale, false)
}

// want asks for a verdict and compares it.
func (l *verdictLab) want(t *testing.T, p *program, what string, status int, asFound bool) {
	t.Helper()
	if status == notAsked {
		return
	}
	got, out, err := l.check(p, asFound)
	if err != nil {
		t.Fatal(err)
	}
	if got != status && (status != notValid || got == harness.ExitValid) {
		t.Errorf("%s: status %d, want %d\n%s", what, got, status, out)
	}
}
