package main_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// provocations has, for each reason why a record may be incomplete, commands that
// bring it about.
var provocations = []struct {
	reason, name string
	run          func(t *testing.T, p *provocation)
}{
	{"bypassed_filter", "traces calls itself", func(t *testing.T, p *provocation) {
		p.run(t, testProgram(t, "incomplete/filter"))
	}},
	{"changed_during_run", "edited between", func(t *testing.T, p *provocation) {
		p.halfWay(t, func(int) func() {
			writeFile(t, filepath.Join(p.dir, "in.txt"), "edited\n")
			return func() {}
		})
	}},
	{"descendant_running", "in the background", func(t *testing.T, p *provocation) {
		goOn := newFIFO(t, p.dir, "go-on")
		p.run(t, "sh", "-c", "cat go-on >/dev/null 2>&1 &")
		goOn.release(t, func() bool { return false })
	}},
	{"foreign_abi", "of no architecture", func(t *testing.T, p *provocation) {
		p.halfWay(t, func(pid int) func() { return tamper(t, pid, tamperABI) })
	}},
	{"io_uring", "a ring", func(t *testing.T, p *provocation) {
		p.flags = []string{"--io-uring", "allow"}
		p.run(t, testProgram(t, "incomplete/ring"))
	}},
	{"lost_listener", "cannot be received", func(t *testing.T, p *provocation) {
		p.halfWay(t, func(pid int) func() { return tamper(t, pid, tamperFailure) })
	}},
	{"nested", "below another", func(t *testing.T, p *provocation) {
		p.before = []string{testProgram(t, "incomplete/listener")}
		p.run(t, "cat", "in.txt")
	}},
	{"opaque_process", "unreadable", func(t *testing.T, p *provocation) {
		p.asNobody(t)
		content, err := os.ReadFile(testProgram(t, "incomplete/ring"))
		if err != nil {
			t.Fatal(err)
		}
		exe := filepath.Join(p.dir, "program")
		writeExecutable(t, exe, content)
		if err := os.Chmod(exe, 0o111); err != nil {
			t.Fatal(err)
		}
		p.run(t, exe)
	}},
	{"opaque_process", "not dumpable", func(t *testing.T, p *provocation) {
		p.asNobody(t)
		p.run(t, testProgram(t, "selfcheck/not_dumpable"), filepath.Join(p.dir, "scratch"))
	}},
	{"other_mount_namespace", "mounts of its own", func(t *testing.T, p *provocation) {
		needRoot(t, "to have a mount namespace")
		p.run(t, needTool(t, "unshare"), "-m", "sh", "-c",
			`mkdir upper work merged && mount -t overlay o -o lowerdir=.,upperdir=upper,workdir=work merged && cat merged/in.txt`)
	}},
	{"unanswered_lookup", "a slow server", func(t *testing.T, p *provocation) {
		needFUSE(t)
		at := mountPoint(t, p.dir)
		p.before = []string{testProgram(t, "incomplete/fuse"), at}
		p.run(t, "sh", "-c", `! cat "$0/late" 2>/dev/null`, at)
	}},
	{"unresolved_path", "too deep", func(t *testing.T, p *provocation) {
		p.run(t, testProgram(t, "selfcheck/path_deep"), filepath.Join(p.dir, "scratch"))
	}},
	{"untraced_process", "more than descriptors", func(t *testing.T, p *provocation) {
		p.before = []string{"sh", "-c", `ulimit -n 64; exec "$@"`, "sh"}
		p.run(t, testProgram(t, "incomplete/untraced"))
	}},
}

// provokedElsewhere are the reasons that only another program gives.
var provokedElsewhere = map[string]string{"spool_full": "cmd/fstraced"}

// TestIncomplete brings each reason about: the manifest names it and promises
// nothing, and no check of it says "valid".
func TestIncomplete(t *testing.T) {
	fstrace := fstraceBinary(t)
	for _, tt := range provocations {
		t.Run(tt.reason+"/"+strings.ReplaceAll(tt.name, " ", "_"), func(t *testing.T) {
			p := &provocation{trial: trial{dir: openDir(t)}, fstrace: fstrace}
			p.manifest = filepath.Join(p.dir, "manifest.json")
			p.env = []string{"XDG_CACHE_HOME=" + filepath.Join(p.dir, "cache")}
			writeFile(t, filepath.Join(p.dir, "in.txt"), "in\n")
			tt.run(t, p)
			p.check(t, tt.reason)
		})
	}
}

// TestReasons: the list of reasons is closed. Each is brought about above and
// explained in docs/completeness.md, and there are no others.
func TestReasons(t *testing.T) {
	want := declaredReasons(t)
	var provoked []string
	for _, p := range provocations {
		provoked = append(provoked, p.reason)
	}
	for reason := range provokedElsewhere {
		provoked = append(provoked, reason)
	}
	if got := distinct(provoked); !slices.Equal(got, want) {
		t.Errorf("provoked are %q, the reasons are %q", got, want)
	}
	doc, err := os.ReadFile(filepath.Join("..", "..", "docs", "completeness.md"))
	if err != nil {
		t.Fatal(err)
	}
	var explained []string
	for line := range strings.Lines(string(doc)) {
		if rest, ok := strings.CutPrefix(line, "| `"); ok {
			reason, _, _ := strings.Cut(rest, "`")
			explained = append(explained, reason)
		}
	}
	slices.Sort(explained)
	if !slices.Equal(explained, want) {
		t.Errorf("docs/completeness.md explains %q, the reasons are %q", explained, want)
	}
}

// declaredReasons reads the constants of type Reason from the source.
func declaredReasons(t *testing.T) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", "..", "events", "event.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if kind, ok := spec.Type.(*ast.Ident); ok && kind.Name == "Reason" {
			for _, v := range spec.Values {
				word, err := strconv.Unquote(v.(*ast.BasicLit).Value)
				if err != nil {
					t.Fatal(err)
				}
				list = append(list, word)
			}
		}
		return true
	})
	if len(list) == 0 {
		t.Fatal("events/event.go: no constant of type Reason")
	}
	slices.Sort(list)
	return list
}

// A provocation is a run of fstrace that ends in an incomplete manifest.
type provocation struct {
	trial
	fstrace, manifest string
	before            []string // what runs fstrace
}

func (p *provocation) argv(command ...string) []string {
	argv := append(slices.Clone(p.before), p.fstrace, "-q", "-f", "manifest", "-o", p.manifest)
	return append(append(append(argv, p.flags...), "--"), command...)
}

// run runs a command that must succeed, as without fstrace.
func (p *provocation) run(t *testing.T, command ...string) {
	t.Helper()
	got := p.bare(t, p.argv(command...)...)
	if s := statusName(got.status); s != "0" {
		t.Fatalf("%q: ended with %s\n%s%s", command, s, got.stdout, got.stderr)
	}
}

// halfWay runs a command that reads in.txt twice. In between do is called, with
// fstrace's process id; what it returns is called when the command has been told to go
// on. The command must not notice.
func (p *provocation) halfWay(t *testing.T, do func(pid int) func()) {
	t.Helper()
	barrier := newFIFO(t, p.dir, "barrier")
	argv := p.argv("sh", "-c", "cat in.txt >/dev/null; read x <barrier; cat in.txt >/dev/null && echo done")
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = p.dir, append(os.Environ(), p.env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &out, &errs, patience
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	over := time.AfterFunc(3*patience, func() {
		t.Errorf("%q: has not ended after %v", argv, 3*patience)
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	})
	defer over.Stop()
	waited := false
	defer func() {
		if !waited {
			syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			cmd.Wait()
		}
	}()
	fd := -1
	eventually(t, "the command reads the barrier", func() (ok bool) {
		var err error
		fd, err = unix.Open(string(barrier), unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		return err == nil
	})
	then := do(cmd.Process.Pid)
	unix.Close(fd)
	// Before cmd.Wait: to wait for a child takes the stops of one that another thread
	// of the same process traces.
	then()
	waited = true
	if err := cmd.Wait(); err != nil || out.String() != "done\n" {
		t.Fatalf("%q: %v\n%s%s", argv, err, &out, &errs)
	}
}

// asNobody has the command run as a user whom the kernel does not let look at
// everything.
func (p *provocation) asNobody(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		return
	}
	p.user = nobody
	if err := os.Chown(p.dir, int(nobody.Uid), int(nobody.Gid)); err != nil {
		t.Fatal(err)
	}
}

// check asserts that the manifest is incomplete for that reason alone, and that
// nothing follows from it.
func (p *provocation) check(t *testing.T, reason string) {
	t.Helper()
	data, err := os.ReadFile(p.manifest)
	if err != nil {
		t.Fatal(err)
	}
	var m struct {
		Complete   bool
		Incomplete []struct{ Reason, Detail string }
	}
	if err := json.Unmarshal(data, &m); err != nil {
		t.Fatal(err)
	}
	var reasons []string
	for _, in := range m.Incomplete {
		reasons = append(reasons, in.Reason)
		if in.Detail == "" {
			t.Errorf("%s: no detail", in.Reason)
		}
	}
	if got := distinct(reasons); !slices.Equal(got, []string{reason}) {
		t.Errorf("incomplete for %v, want %s", m.Incomplete, reason)
	}
	if m.Complete {
		t.Errorf("complete: true")
	}
	got := p.bare(t, p.fstrace, "check", p.manifest)
	if s := statusName(got.status); s != "2" || got.stdout != "" || !strings.Contains(got.stderr, "incomplete: "+reason) {
		t.Errorf("check: status %s, want 2\n%s%s", s, got.stdout, got.stderr)
	}
	got = p.bare(t, p.fstrace, "check", "--allow-incomplete", p.manifest)
	if s := statusName(got.status); s != "0" && s != "1" || got.stderr != "" {
		t.Errorf("check --allow-incomplete: status %s, want 0 or 1\n%s", s, got.stderr)
	}
}

// testProgram builds testdata/NAME.c with gcc, in a directory that goes with the
// test.
func testProgram(t *testing.T, name string) string {
	t.Helper()
	exe := filepath.Join(openDir(t), filepath.Base(name))
	build := exec.Command(needTool(t, "gcc"), "-Wall", "-Wextra", "-pthread", "-o", exe,
		filepath.Join("..", "..", "testdata", filepath.FromSlash(name)+".c"))
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", build, err, out)
	}
	return exe
}
