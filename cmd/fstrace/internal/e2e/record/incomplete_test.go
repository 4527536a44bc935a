package record

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

	"github.com/fstrace/fstrace/testdata/harness"
	"golang.org/x/sys/unix"
)

// provocations has, for each reason why a record may be incomplete, commands that
// bring it about.
var provocations = []struct {
	reason, name string
	run          func(t *testing.T, p *provocation)
}{
	{"bypassed_filter", "traces calls itself", func(t *testing.T, p *provocation) {
		p.run(t, harness.BuildC(t, "gcc", "incomplete/filter", "-pthread"))
	}},
	{"changed_during_run", "edited between", func(t *testing.T, p *provocation) {
		p.halfWay(t, func(int) func() {
			harness.WriteFile(t, filepath.Join(p.Dir, "in.txt"), "edited\n")
			return func() {}
		})
	}},
	{"descendant_running", "in the background", func(t *testing.T, p *provocation) {
		goOn := harness.NewFIFO(t, p.Dir, "go-on")
		p.run(t, "sh", "-c", "cat go-on >/dev/null 2>&1 &")
		goOn.Release(t, func() bool { return false })
	}},
	{"foreign_abi", "of no architecture", func(t *testing.T, p *provocation) {
		p.halfWay(t, func(pid int) func() { return tamper(t, pid, tamperABI) })
	}},
	{"io_uring", "a ring", func(t *testing.T, p *provocation) {
		p.Flags = []string{"--io-uring", "allow"}
		p.run(t, harness.BuildC(t, "gcc", "incomplete/ring", "-pthread"))
	}},
	{"lost_listener", "cannot be received", func(t *testing.T, p *provocation) {
		p.halfWay(t, func(pid int) func() { return tamper(t, pid, tamperFailure) })
	}},
	{"nested", "below another", func(t *testing.T, p *provocation) {
		p.before = []string{harness.BuildC(t, "gcc", "incomplete/listener", "-pthread")}
		p.run(t, "cat", "in.txt")
	}},
	{"opaque_process", "unreadable", func(t *testing.T, p *provocation) {
		p.asNobody(t)
		content, err := os.ReadFile(harness.BuildC(t, "gcc", "incomplete/ring", "-pthread"))
		if err != nil {
			t.Fatal(err)
		}
		exe := filepath.Join(p.Dir, "program")
		harness.WriteExecutable(t, exe, content)
		if err := os.Chmod(exe, 0o111); err != nil {
			t.Fatal(err)
		}
		p.run(t, exe)
	}},
	{"opaque_process", "not dumpable", func(t *testing.T, p *provocation) {
		p.asNobody(t)
		p.run(t, harness.BuildC(t, "gcc", "selfcheck/not_dumpable", "-pthread"), filepath.Join(p.Dir, "scratch"))
	}},
	{"other_mount_namespace", "mounts of its own", func(t *testing.T, p *provocation) {
		harness.NeedRoot(t, "to have a mount namespace")
		p.run(t, harness.NeedTool(t, "unshare"), "-m", "sh", "-c",
			`mkdir upper work merged && mount -t overlay o -o lowerdir=.,upperdir=upper,workdir=work merged && cat merged/in.txt`)
	}},
	{"unanswered_lookup", "a slow server", func(t *testing.T, p *provocation) {
		harness.NeedFUSE(t)
		at := mountPoint(t, p.Dir)
		p.before = []string{harness.BuildC(t, "gcc", "incomplete/fuse", "-pthread"), at}
		p.run(t, "sh", "-c", `! cat "$0/late" 2>/dev/null`, at)
	}},
	{"unresolved_path", "too deep", func(t *testing.T, p *provocation) {
		p.run(t, harness.BuildC(t, "gcc", "selfcheck/path_deep", "-pthread"), filepath.Join(p.Dir, "scratch"))
	}},
	{"untraced_process", "more than descriptors", func(t *testing.T, p *provocation) {
		p.before = []string{"sh", "-c", `ulimit -n 64; exec "$@"`, "sh"}
		p.run(t, harness.BuildC(t, "gcc", "incomplete/untraced", "-pthread"))
	}},
}

// provokedElsewhere are the reasons that only another program gives.
var provokedElsewhere = map[string]string{"spool_full": "cmd/fstraced"}

// TestIncomplete brings each reason about: the manifest names it and promises
// nothing, and no check of it says "valid".
func TestIncomplete(t *testing.T) {
	fstrace := harness.Fstrace(t)
	for _, tt := range provocations {
		t.Run(tt.reason+"/"+strings.ReplaceAll(tt.name, " ", "_"), func(t *testing.T) {
			p := &provocation{Trial: harness.Trial{Dir: harness.OpenDir(t)}, fstrace: fstrace}
			p.manifest = filepath.Join(p.Dir, "manifest.json")
			p.Env = []string{"XDG_CACHE_HOME=" + filepath.Join(p.Dir, "cache")}
			harness.WriteFile(t, filepath.Join(p.Dir, "in.txt"), "in\n")
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
	if got := harness.Distinct(provoked); !slices.Equal(got, want) {
		t.Errorf("provoked are %q, the reasons are %q", got, want)
	}
	doc, err := os.ReadFile(harness.Source("docs", "completeness.md"))
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
	file, err := parser.ParseFile(token.NewFileSet(), harness.Source("events", "event.go"), nil, 0)
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
	harness.Trial
	fstrace, manifest string
	before            []string // what runs fstrace
}

func (p *provocation) argv(command ...string) []string {
	argv := append(slices.Clone(p.before), p.fstrace, "-q", "-f", "manifest", "-o", p.manifest)
	return append(append(append(argv, p.Flags...), "--"), command...)
}

// run runs a command that must succeed, as without fstrace.
func (p *provocation) run(t *testing.T, command ...string) {
	t.Helper()
	got := p.Bare(t, p.argv(command...)...)
	if s := harness.StatusName(got.Status); s != "0" {
		t.Fatalf("%q: ended with %s\n%s%s", command, s, got.Stdout, got.Stderr)
	}
}

// halfWay runs a command that reads in.txt twice. In between do is called, with
// fstrace's process id; what it returns is called when the command has been told to go
// on. The command must not notice.
func (p *provocation) halfWay(t *testing.T, do func(pid int) func()) {
	t.Helper()
	barrier := harness.NewFIFO(t, p.Dir, "barrier")
	argv := p.argv("sh", "-c", "cat in.txt >/dev/null; read x <barrier; cat in.txt >/dev/null && echo done")
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = p.Dir, append(os.Environ(), p.Env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &out, &errs, harness.Patience
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	over := time.AfterFunc(3*harness.Patience, func() {
		t.Errorf("%q: has not ended after %v", argv, 3*harness.Patience)
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
	harness.Eventually(t, "the command reads the barrier", func() (ok bool) {
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

// asNobody runs the command as a user who may not look at
// everything.
func (p *provocation) asNobody(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		return
	}
	p.User = harness.Nobody
	if err := os.Chown(p.Dir, int(harness.Nobody.Uid), int(harness.Nobody.Gid)); err != nil {
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
	if got := harness.Distinct(reasons); !slices.Equal(got, []string{reason}) {
		t.Errorf("incomplete for %v, want %s", m.Incomplete, reason)
	}
	if m.Complete {
		t.Errorf("complete: true")
	}
	got := p.Bare(t, p.fstrace, "check", p.manifest)
	if s := harness.StatusName(got.Status); s != "2" || got.Stdout != "" || !strings.Contains(got.Stderr, "incomplete: "+reason) {
		t.Errorf("check: status %s, want 2\n%s%s", s, got.Stdout, got.Stderr)
	}
	got = p.Bare(t, p.fstrace, "check", "--allow-incomplete", p.manifest)
	if s := harness.StatusName(got.Status); s != "0" && s != "1" || got.Stderr != "" {
		t.Errorf("check --allow-incomplete: status %s, want 0 or 1\n%s", s, got.Stderr)
	}
}
