package daemon

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fstrace/fstrace/testdata/harness"
)

// The clients in docs/examples, as a reader would try them.

func example(name string) string { return harness.Source("docs", "examples", name) }

// A reader has a shell, with a daemon.
type reader struct {
	t   *testing.T
	dir string
	env []string
}

func newReader(t *testing.T) *reader {
	d := harness.StartDaemon(t)
	return &reader{t, harness.OpenDir(t), append(os.Environ(), "FSTRACED_SOCKET="+d.Socket)}
}

// run runs a program in the reader's directory.
func (r *reader) run(argv ...string) (status, stdout, stderr string) {
	r.t.Helper()
	var out, err bytes.Buffer
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = r.dir, r.env, &out, &err
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	over := time.AfterFunc(3*harness.Patience, func() { cmd.Process.Kill() })
	defer over.Stop()
	_ = cmd.Wait()
	status = cmd.ProcessState.String()
	return strings.TrimPrefix(status, "exit status "), out.String(), err.String()
}

func TestConnectExampleClients(t *testing.T) {
	for _, client := range []struct{ interpreter, file string }{{"python3", "client.py"}, {"node", "client.mjs"}} {
		t.Run(client.file, func(t *testing.T) {
			r := newReader(t)
			exe := harness.NeedTool(t, client.interpreter)
			file, err := filepath.Abs(example(client.file))
			if err != nil {
				t.Fatal(err)
			}
			in := filepath.Join(r.dir, "in\xff") // no UTF-8
			harness.WriteFile(t, in, "content\n")
			status, stdout, stderr := r.run(exe, file, "run", "m.json", "sh", "-c", "cat in*; cat in* >out; exit 3")
			if status != "3" || !strings.HasPrefix(stdout, "content\n") {
				t.Errorf("status %s, output %q\n%s", status, stdout, stderr)
			}
			if !strings.Contains(stdout, "\nfile "+r.dir+"/in") || !strings.Contains(stdout, "\nabsent ") || !strings.Contains(stderr, "executes /usr/bin/cat\n") {
				t.Errorf("the inputs are not among\n%s\nnor what was executed among\n%s", stdout, stderr)
			}
			if status, stdout, stderr := r.run(exe, file, "check", "m.json"); status != "0" || stdout+stderr != "" {
				t.Errorf("unchanged: status %s\n%s%s", status, stdout, stderr)
			}
			harness.WriteFile(t, in, "CONTENT\n")
			if status, stdout, stderr := r.run(exe, file, "check", "m.json"); status != "1" || !strings.Contains(stdout, "/in") || stderr != "" {
				t.Errorf("changed: status %s\n%s%s", status, stdout, stderr)
			}
			if status, _, stderr := r.run(exe, file, "run", "m.json", filepath.Join(r.dir, "no-such-command")); status != "1" && status != "127" || !strings.Contains(stderr, "not found") {
				t.Errorf("no command: status %s\n%s", status, stderr)
			}
		})
	}
}

// The small build tool skips what need not be run, and nothing else.
func TestConnectExampleMinibuild(t *testing.T) {
	r := newReader(t)
	exe := filepath.Join(harness.OpenDir(t), "minibuild")
	build := exec.Command(harness.NeedTool(t, "go"), "build", "-o", exe, example("minibuild"))
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	file := func(name string) string { return filepath.Join(r.dir, name) }
	harness.WriteFile(t, file("words"), "pear\napple\n")
	const steps = "# how\nsorted: sort words >sorted\ncount: wc -l <sorted >count\nmaybe: cat optional 2>/dev/null || echo none\n"
	harness.WriteFile(t, file("Minibuild"), steps)
	for _, step := range []struct {
		what   string
		change func()
		ran    string // the steps that run then
	}{
		{"at first", func() {}, "sorted count maybe"},
		{"again", func() {}, ""},
		{"touched", func() { harness.WriteFile(t, file("words"), "pear\napple\n") }, ""},
		{"same result", func() { harness.WriteFile(t, file("words"), "apple\npear\n") }, "sorted"},
		{"other result", func() { harness.WriteFile(t, file("words"), "apple\npear\nplum\n") }, "sorted count"},
		{"output removed", func() { os.Remove(file("count")) }, "count"},
		{"output spoilt", func() { harness.WriteFile(t, file("sorted"), "spoilt\n") }, "sorted"},
		{"what was absent", func() { harness.WriteFile(t, file("optional"), "here\n") }, "maybe"},
		{"unrelated", func() { harness.WriteFile(t, file("unrelated"), "here\n") }, ""},
		{"command changed", func() { harness.WriteFile(t, file("Minibuild"), strings.Replace(steps, "wc -l", "wc -w", 1)) }, "count"},
	} {
		step.change()
		status, stdout, stderr := r.run(exe)
		if status != "0" {
			t.Fatalf("%s: status %s\n%s%s", step.what, status, stdout, stderr)
		}
		var ran []string
		for line := range strings.Lines(stdout) {
			if name, rest, ok := strings.Cut(line, ": "); ok && rest != "up to date\n" {
				ran = append(ran, name)
			}
		}
		if got := strings.Join(ran, " "); got != step.ran {
			t.Errorf("%s: ran %q, want %q\n%s", step.what, got, step.ran, stdout)
		}
	}
	harness.WriteFile(t, file("Minibuild"), steps+"fails: exit 3\nnever: touch never\n")
	if status, _, stderr := r.run(exe); status != "1" || stderr != "minibuild: fails: ended with status 3\n" {
		t.Errorf("a step that fails: status %s, %q", status, stderr)
	}
	if _, err := os.Stat(file("never")); err == nil {
		t.Error("steps go on after one that failed")
	}
}

// TestExampleWhatMakeRead: the program in the README is the one in docs/examples, and
// prints what make and its commands read.
func TestExampleWhatMakeRead(t *testing.T) {
	harness.NeedTool(t, "make")
	source, err := os.ReadFile(example("whatmakeread/main.go"))
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile(harness.Source("README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, body, _ := strings.Cut(string(source), "func main()")
	if !strings.Contains(string(readme), "func main()"+strings.ReplaceAll(body, "\t", "    ")) {
		t.Error("the program in README.md is not that of docs/examples/whatmakeread")
	}
	dir := harness.OpenDir(t)
	exe := filepath.Join(dir, "whatmakeread")
	build := exec.Command(harness.NeedTool(t, "go"), "build", "-o", exe, example("whatmakeread"))
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for name, content := range map[string]string{"Makefile": "b: a\n\t@cat a >b\n", "a": "text\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(exe)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, name := range []string{"Makefile", "a"} {
		if !strings.Contains(string(out), "/"+name+"\n") {
			t.Errorf("%s is not among\n%s", name, out)
		}
	}
}
