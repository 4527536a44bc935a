package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/fstrace/fstrace/testdata/harness"
)

// cProject is a C file with two headers.
func cProject(p *project) {
	p.write("main.c", "#include \"a.h\"\n#include \"b.h\"\nint main(void) { return A + B; }\n")
	p.write("a.h", "#define A 1\n")
	p.write("b.h", "#define B 2\n")
}

// TestCompiler: the object is restored whenever the sources are as they were before, also
// after they were something else.
func TestCompiler(t *testing.T) {
	harness.NeedTool(t, "gcc")
	p := newProject(t)
	cProject(p)
	compile := []string{"gcc", "-c", "main.c"}
	p.runs(compile...)
	first := p.read("main.o")
	p.remove("main.o")
	p.hits(compile...)
	if p.read("main.o") != first {
		t.Error("another object was restored")
	}
	p.runs(compile...) // the object was absent before
	p.hits(compile...)

	p.write("b.h", "#define B 3\n")
	if text := p.explain(compile...); !strings.Contains(text, "content changed: "+filepath.Join(p.dir, "b.h")) {
		t.Errorf("explain: %s", text)
	}
	p.runs(compile...)
	if p.read("main.o") == first {
		t.Error("the object is that of the other header")
	}
	p.write("b.h", "#define B 2\n")
	p.hits(compile...)
	if p.read("main.o") != first {
		t.Error("the object is not that of the first header")
	}
	p.write("main.h", "") // nobody looks for it
	p.hits(compile...)
	p.runs("gcc", "-c", "-O1", "main.c")
}

// TestFormerOutputs: a compiler's former object does not matter with
// --ignore-former-outputs, and the result is found after the first run.
func TestFormerOutputs(t *testing.T) {
	harness.NeedTool(t, "gcc")
	p := newProject(t)
	p.flags = []string{"--ignore-former-outputs"}
	cProject(p)
	compile := []string{"gcc", "-c", "main.c"}
	p.runs(compile...)
	first := p.read("main.o")
	p.write("b.h", "#define B 3\n")
	p.runs(compile...)
	p.write("b.h", "#define B 2\n")
	p.hits(compile...)
	if p.read("main.o") != first {
		t.Error("the object is not that of the header")
	}
}

// TestSame: what a command leaves, prints and returns is the same when it is restored.
func TestSame(t *testing.T) {
	p := newProject(t)
	p.flags = []string{"--keep-failures"}
	nothing := func(*project) {}
	files := func(p *project) {
		p.write("f", "one\n")
		p.write("d/g", "two\n")
		p.write("d/e/h", "three\n")
		harness.Symlink(t, "f", filepath.Join(p.dir, "l"))
	}
	for _, c := range []struct {
		set    func(*project)
		script string
	}{
		{nothing, "echo out; echo err >&2; echo more"},
		{nothing, "exit 3"},
		{nothing, "printf 'no newline'; printf '\\0\\377' >&2"},
		{nothing, "umask 027; mkdir -p a/b/c; echo x >a/b/c/f; chmod 4711 a/b/c/f; chmod 555 a/b"},
		{nothing, "ln -s /nowhere a; ln -s a b"},
		{nothing, "echo x >'with\nnewline and \"quotes\"'"},
		{files, "rm f; rm -r d; rm l"},
		{files, "mv f new; mv d other"},
		{files, "sed -i s/one/1/ f"},
		{files, "chmod 600 f; chmod 700 d"},
		{files, "cat f d/g >sum; echo more >>f"},
		{files, "echo through >l"},
		{files, "rm l; echo file >l"},
		{files, "rm f; ln -s d/g f"},
		{files, "ls d; find d -type f | sort"},
		{files, "cp -r d copy"},
	} {
		p.same(c.set, "sh", "-c", c.script)
	}
}

// TestHardLinks: an output that has the right content, and is one file with another path,
// is replaced as the command would replace it.
func TestHardLinks(t *testing.T) {
	p := newProject(t)
	p.write("a", "same\n")
	set := func() {
		t.Helper()
		p.remove("b")
		if err := os.Link(filepath.Join(p.dir, "a"), filepath.Join(p.dir, "b")); err != nil {
			t.Fatal(err)
		}
	}
	command := []string{"sh", "-c", "cat a >t; mv t b"}
	set()
	p.runs(command...)
	set()
	p.hits(command...)
	a, errA := os.Stat(filepath.Join(p.dir, "a"))
	b, errB := os.Stat(filepath.Join(p.dir, "b"))
	if errA != nil || errB != nil || os.SameFile(a, b) || p.read("b") != "same\n" {
		t.Errorf("%v, %v; the same file: %v", errA, errB, os.SameFile(a, b))
	}
}

// TestStatuses: a command that cannot be executed, fails or is killed is as without the
// cache.
func TestStatuses(t *testing.T) {
	p := newProject(t)
	p.write("data", "no program\n")
	for _, c := range []struct {
		argv []string
		want string
	}{
		{[]string{"sh", "-c", "exit 7"}, "7"},
		{[]string{"sh", "-c", "kill -TERM $$"}, "SIGTERM"},
		{[]string{"sh", "-c", "kill -KILL $$"}, "SIGKILL"},
		{[]string{"./missing"}, "127"},
		{[]string{"./data"}, "126"},
	} {
		for range 2 {
			out := p.tool(append([]string{"run", "--dir", p.store, "--"}, c.argv...)...)
			if got := harness.StatusName(out.Status); got != c.want {
				t.Errorf("%q: %s, want %s", c.argv, got, c.want)
			}
		}
	}
	p.refused("the command failed", "exit status 7", "sh", "-c", "exit 7")
}

// TestNotKept: what may depend on something that the manifest does not compare is not
// kept, and the reason is given.
func TestNotKept(t *testing.T) {
	p := newProject(t)
	p.write("f", "x")
	for _, c := range []struct{ reason, detail, script string }{
		{"an output is outside", "out", "echo x >../../out"},
		{"the record is incomplete", "descendant_running", "sleep 10 >/dev/null 2>&1 & echo $! >&2"},
		{"an output cannot be restored", "has 2 names", "ln f g"},
		{"an output cannot be restored", "is a other", "mkfifo p"},
		{"an output cannot be restored", "was a file, and is a dir", "rm f; mkdir f"},
	} {
		t.Run(c.detail, func(t *testing.T) {
			q := p.elsewhere("of", strings.ReplaceAll(c.script, "/", ""))
			q.t = t
			q.refused(c.reason, c.detail, "sh", "-c", c.script)
		})
	}
	p.refused("the command cannot be a key", "UTF-8", "sh", "-c", "echo \xff")
	if harness.NeedTool(t, "python3") != "" {
		p.refused("the command may have used an external source", "network",
			"python3", "-c", "import socket\ntry: socket.create_connection(('127.0.0.1', 9))\nexcept OSError: pass")
	}
}

// TestEnvironment: variables are part of the key; with --env only those that are named,
// and the command gets no others.
func TestEnvironment(t *testing.T) {
	p := newProject(t)
	p.env = append(p.env, "A=1", "B=1")
	print := []string{"sh", "-c", "echo $A$B"}
	p.runs(print...)
	p.env = append(p.env, "A=2")
	if out := p.runs(print...); out.Stdout != "21\n" {
		t.Errorf("printed %q", out.Stdout)
	}
	p.flags = []string{"--env", "A"}
	if out := p.runs(print...); out.Stdout != "2\n" {
		t.Errorf("with --env A: printed %q", out.Stdout)
	}
	p.env = append(p.env, "B=2")
	p.hits(print...)
}

// TestStandardInput: with --stdin what is read there is part of the key, without the
// command reads nothing.
func TestStandardInput(t *testing.T) {
	p := newProject(t)
	with := func(input string, flags ...string) string {
		t.Helper()
		cmd := exec.Command(p.exe, append(append([]string{"run", "-v", "--dir", p.store}, flags...), "--", "cat")...)
		cmd.Dir, cmd.Env, cmd.Stdin = p.dir, append(os.Environ(), p.env...), strings.NewReader(input)
		text, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		return string(text)
	}
	for _, c := range []struct{ input, want string }{
		{"a\n", "ran and kept"}, {"b\n", "ran and kept"}, {"a\n", "restored"}, {"b\n", "restored"},
	} {
		if got := with(c.input, "--stdin"); !strings.HasPrefix(got, c.input) || !strings.Contains(got, c.want) {
			t.Errorf("%q: %q, want it %s", c.input, got, c.want)
		}
	}
	if got := with("a\n"); strings.Contains(got, "a\n") {
		t.Errorf("without --stdin: %q", got)
	}
}

// TestRoot: with --root, a result is found in another checkout. Without, it is not.
func TestRoot(t *testing.T) {
	harness.NeedTool(t, "gcc")
	p := newProject(t)
	cProject(p)
	p.write("sub/x", "x")
	q, deeper := p.elsewhere("other"), p.elsewhere("deep", "down")
	compile := []string{"gcc", "-c", "main.c"}
	p.runs(compile...)
	q.runs(compile...)
	q.remove("main.o")
	p.remove("main.o")
	for _, x := range []*project{p, q, deeper} {
		x.flags = []string{"--root", "."}
	}
	p.runs(compile...)
	q.hits(compile...)
	deeper.hits(compile...)
	if q.read("main.o") != p.read("main.o") {
		t.Error("the objects differ")
	}
	q.remove("main.o")
	q.write("a.h", "#define A 5\n")
	q.runs(compile...)
}

// TestUnreadable: a path in a directory that the user may not search is an input like
// others.
func TestUnreadable(t *testing.T) {
	harness.NeedRoot(t, "to be another user")
	p := newProject(t)
	closed := filepath.Join(filepath.Dir(p.dir), "closed")
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{p.dir, filepath.Dir(p.dir)} {
		if err := os.Chmod(dir, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	trial := harness.Trial{Dir: p.dir, Env: p.env, User: harness.Nobody}
	for _, want := range []string{"ran and kept", "restored", "restored"} {
		out := trial.Run(t, []string{p.exe, "run", "-v", "--dir", p.store, "--", "sh", "-c", "test -e " + closed + "/x || echo no"})
		if out.Stdout != "no\n" || !strings.Contains(out.Stderr, want) {
			t.Errorf("%q, %q, want %q", out.Stdout, out.Stderr, want)
		}
	}
}

// TestVerify: a command that is not deterministic is found.
func TestVerify(t *testing.T) {
	p := newProject(t)
	verify := func(script string) harness.Outcome {
		return p.tool("verify", "--dir", p.store, "--", "sh", "-c", script)
	}
	for _, c := range []struct {
		script string
		want   []int
	}{
		{"echo same >out; echo same", []int{2, 2, 0}}, // the first found no output, the second one
		{"date +%N >out", []int{2, 2, 1}},
		{"date +%N", []int{2, 1}},
	} {
		p.remove("out")
		for i, want := range c.want {
			if out := verify(c.script); out.Status.ExitStatus() != want {
				t.Errorf("verify %d of %q: %d, want %d\n%s%s", i, c.script, out.Status.ExitStatus(), want, out.Stdout, out.Stderr)
			}
		}
	}
}

// TestCollect: gc removes what was not used for the longest time, and what is left is
// found.
func TestCollect(t *testing.T) {
	p := newProject(t)
	first, second := []string{"sh", "-c", "head -c 100000 /dev/zero"}, []string{"sh", "-c", "head -c 300000 /dev/zero"}
	p.runs(first...)
	p.runs(second...)
	p.hits(first...)
	before := p.tool("stats", "--dir", p.store).Stdout
	out := p.tool("gc", "--max-size", "1M", "--dir", p.store)
	if !strings.HasPrefix(out.Stdout, "removed 0 files") {
		t.Errorf("gc: %s%s; before:\n%s", out.Stdout, out.Stderr, before)
	}
	p.tool("gc", "--max-size", "200K", "--dir", p.store)
	p.hits(first...)
	p.runs(second...)
	p.tool("gc", "--max-size", "0", "--dir", p.store)
	p.runs(first...)
}

// TestDamagedStore: a store that has lost or changed something costs a run, and never a
// wrong result.
func TestDamagedStore(t *testing.T) {
	p := newProject(t)
	p.write("in", "content\n")
	command := []string{"sh", "-c", "cat in; cp in out"}
	p.runs(command...)
	for _, damage := range []func(string) error{
		func(name string) error { return os.Truncate(name, 0) },
		func(name string) error { return os.WriteFile(name, []byte("wrong\n"), 0o644) },
		func(name string) error { // of the same size
			b, err := os.ReadFile(name)
			if err == nil && len(b) > 0 {
				b[len(b)/2] ^= 1
			}
			return os.WriteFile(name, b, 0o644)
		},
		os.Remove,
	} {
		for _, kind := range []string{"ac", "cas"} {
			files, err := filepath.Glob(filepath.Join(p.store, kind, "*", "*"))
			if err != nil || len(files) == 0 {
				t.Fatal(files, err)
			}
			for _, name := range files {
				kept, err := os.ReadFile(name)
				if err != nil {
					continue // it was dropped after another one's damage
				}
				if err := damage(name); err != nil {
					t.Fatal(err)
				}
				p.remove("out")
				out, _ := p.run(command...)
				if out.Stdout != "content\n" || p.read("out") != "content\n" || out.Status != 0 {
					t.Errorf("%s: %+v, out %q", name, out, p.read("out"))
				}
				if err := os.WriteFile(name, kept, 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	p.remove("out")
	p.hits(command...)
}

// TestUnusableStore: without a store the command runs.
func TestUnusableStore(t *testing.T) {
	p := newProject(t)
	out := p.tool("run", "--dir", "/proc/none", "--", "echo", "x")
	if out.Status.ExitStatus() != exitFailed || !strings.Contains(out.Stderr, "--dir") {
		t.Errorf("%+v", out)
	}
	if os.Geteuid() == 0 {
		t.Log("root may write to read-only directories")
		return
	}
	p.runs("echo", "x")
	if err := os.Chmod(filepath.Join(p.store, "tmp"), 0o500); err != nil {
		t.Fatal(err)
	}
	if out := p.tool("run", "--dir", p.store, "--", "echo", "y"); out.Stdout != "y\n" || out.Status != 0 {
		t.Errorf("%+v", out)
	}
}

// TestCommandLine: what is wrong with the command line is reported, and nothing runs.
func TestCommandLine(t *testing.T) {
	p := newProject(t)
	for _, c := range []struct {
		want string
		argv []string
	}{
		{"no subcommand", nil},
		{"no command", []string{"run"}},
		{"before \"--\"", []string{"run", "true"}},
		{"NAME=DIR", []string{"run", "--map", "x", "--", "true"}},
		{"--allow sun", []string{"run", "--allow", "sun", "--", "true"}},
		{"the scheme", []string{"run", "--remote", "ftp://host/", "--", "true"}},
		{"no host", []string{"run", "--remote", "host", "--", "true"}},
		{"--root", []string{"run", "--root", "/nowhere/x", "--", "true"}},
		{"--max-size", []string{"gc", "--max-size", "many"}},
		{"max-size", []string{"gc"}},
	} {
		out := p.tool(append([]string{"--dir", p.store}, c.argv...)...)
		if out.Status.ExitStatus() != exitFailed || !strings.Contains(out.Stderr, c.want) {
			t.Errorf("%q: %s, %q, want %q", c.argv, harness.StatusName(out.Status), out.Stderr, c.want)
		}
	}
	if out := p.tool("explain"); out.Status != syscall.WaitStatus(exitFailed<<8) {
		t.Errorf("explain: %+v", out)
	}
}
