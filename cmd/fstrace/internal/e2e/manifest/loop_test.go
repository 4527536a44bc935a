// Package manifest tests manifests of real programs: each is valid after the run, and
// stale after a change to any single input.
package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fstrace/fstrace/testdata/harness"
)

// A loop is what a build tool does with fstrace: run a command, ask whether it has
// to run again, change something, ask again. On real tools.
type loop struct {
	name    string
	tools   []string
	project string   // below testdata
	command []string // in a copy of it; $MODULES is where the web project's packages are
	before  [][]string
}

var loops = []loop{
	{name: "gcc", tools: []string{"gcc"}, project: "loops/c", command: []string{"gcc", "-o", "main", "main.c"}},
	{name: "make", tools: []string{"make", "gcc"}, project: "projects/make", command: []string{"make"}},
	{name: "make again", tools: []string{"make", "gcc"}, project: "projects/make", command: []string{"make"}, before: [][]string{{"make"}}},
	{name: "python", tools: []string{"python3"}, project: "loops/python", command: []string{"python3", "main.py"}},
	{name: "python warm", tools: []string{"python3"}, project: "loops/python", command: []string{"python3", "main.py"}, before: [][]string{{"python3", "main.py"}}},
	{name: "node", tools: []string{"node"}, project: "loops/node", command: []string{"node", "main.js"}},
	{name: "tsc", tools: []string{"node"}, project: "loops/tsc", command: []string{"node", "$MODULES/typescript/lib/tsc.js", "-p", "."}},
	{name: "go cold", tools: []string{"go"}, project: "projects/gomod", command: []string{"go", "build", "-o", "prog", "."}},
	{
		name: "go warm", tools: []string{"go"}, project: "projects/gomod", command: []string{"go", "build", "-o", "prog", "."},
		before: [][]string{{"go", "build", "-o", "prog", "."}},
	},
	{name: "cargo", tools: []string{"cargo", "gcc"}, project: "loops/cargo", command: []string{"cargo", "build", "--offline"}},
}

func TestLoop(t *testing.T) {
	fstrace := harness.Fstrace(t)
	for _, l := range loops {
		t.Run(l.name, func(t *testing.T) { l.run(t, fstrace) })
	}
}

func (l *loop) run(t *testing.T, fstrace string) {
	for _, tool := range l.tools {
		harness.NeedTool(t, tool)
	}
	if testing.Short() && (l.name == "go cold" || l.name == "cargo") {
		t.Skip("short: takes seconds")
	}
	beside := harness.OpenDir(t)
	dir := filepath.Join(beside, "project")
	if err := os.CopyFS(dir, os.DirFS(harness.Source("testdata", filepath.FromSlash(l.project)))); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "unrelated"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	x := &looping{t: t, dir: dir, fstrace: fstrace, manifest: filepath.Join(beside, "manifest.json")}
	// What other commands of these tools share with this one they would change meanwhile:
	// each "go" counts itself in files that all of them read.
	config := filepath.Join(beside, "config")
	harness.WriteFile(t, filepath.Join(config, "go", "telemetry", "mode"), "off")
	x.env = append(os.Environ(), "XDG_CACHE_HOME="+filepath.Join(beside, "cache"), "XDG_CONFIG_HOME="+config,
		"GOCACHE="+filepath.Join(beside, "gocache"), "GOFLAGS=-mod=mod", "GOTOOLCHAIN=local",
		"CARGO_HOME="+filepath.Join(beside, "cargo"), "CARGO_TARGET_DIR="+filepath.Join(dir, "target"))
	command := slices.Clone(l.command)
	for i := range command {
		if rest, ok := strings.CutPrefix(command[i], "$MODULES/"); ok {
			command[i] = filepath.Join(harness.WebModules(t), "node_modules", rest)
		}
	}
	for _, command := range l.before {
		x.must(command...)
	}
	settle(t, dir)
	x.must(append([]string{fstrace, "-f", "manifest", "-o", x.manifest, "--"}, command...)...)
	x.read()
	if !x.doc.Complete {
		t.Fatalf("incomplete: %v", x.doc.Incomplete)
	}
	x.valid("after the command")
	if len(x.inputs()) == 0 {
		t.Fatalf("no input in %s", dir)
	}
	for _, e := range x.inputs() {
		x.change(e)
	}
	x.changeOthers()
}

// settle waits until no file of the project is so new that another change need not
// show in its time stamps.
func settle(t *testing.T, dir string) {
	t.Helper()
	newest := time.Time{}
	for name := range harness.ReadTree(t, dir) {
		if info, err := os.Lstat(filepath.Join(dir, name)); err == nil && info.ModTime().After(newest) {
			newest = info.ModTime()
		}
	}
	for deadline := newest.Add(50 * time.Millisecond); time.Now().Before(deadline); {
	}
}

// looping is a loop in its course.
type looping struct {
	t                      *testing.T
	dir, fstrace, manifest string
	env                    []string
	doc                    struct {
		Complete   bool
		Incomplete []any
		Inputs     []loopEntry
		Outputs    []loopEntry
	}
}

type loopEntry struct{ Path, State, SHA256, Entries, Target string }

func (x *looping) command(args ...string) *exec.Cmd {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir, cmd.Env = x.dir, x.env
	return cmd
}

func (x *looping) must(args ...string) {
	x.t.Helper()
	if out, err := x.command(args...).CombinedOutput(); err != nil {
		x.t.Fatalf("%q: %v\n%s", args, err, out)
	}
}

func (x *looping) read() {
	x.t.Helper()
	data, err := os.ReadFile(x.manifest)
	if err == nil {
		err = json.Unmarshal(data, &x.doc)
	}
	if err != nil {
		x.t.Fatal(err)
	}
}

// inputs are those that the test may change: below the project, and not changed by
// the command itself.
func (x *looping) inputs() []loopEntry {
	own := map[string]bool{}
	for _, e := range x.doc.Outputs {
		own[e.Path] = true
	}
	var list []loopEntry
	for _, e := range x.doc.Inputs {
		if strings.HasPrefix(e.Path, x.dir+"/") && !own[e.Path] {
			list = append(list, e)
		}
	}
	return list
}

// check runs fstrace check.
func (x *looping) check() (status int, out string) { return x.ask() }

// ask runs it with flags.
func (x *looping) ask(flags ...string) (status int, out string) {
	x.t.Helper()
	b, err := x.command(slices.Concat([]string{x.fstrace, "check"}, flags, []string{x.manifest})...).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		x.t.Fatal(err)
	}
	if exit != nil {
		status = exit.ExitCode()
	}
	return status, string(b)
}

func (x *looping) valid(when string) {
	x.t.Helper()
	if status, out := x.check(); status != 0 {
		x.t.Fatalf("%s: check: status %d\n%s", when, status, out)
	}
}

func (x *looping) stale(path, reason string) {
	x.t.Helper()
	status, out := x.check()
	if status != 1 || !strings.Contains(out, fmt.Sprintf("%s: %s", reason, path)) {
		x.t.Errorf("want %s: %s; check: status %d\n%s", reason, path, status, out)
	}
}

// change changes one input, asks, and changes it back.
func (x *looping) change(e loopEntry) {
	x.t.Helper()
	info, err := os.Lstat(e.Path)
	if err != nil != (e.State == "absent") {
		x.t.Fatalf("input %+v: %v", e, err)
	}
	switch e.State {
	case "file":
		content, err := os.ReadFile(e.Path)
		x.ok(err)
		x.ok(os.WriteFile(e.Path, append(bytes.Clone(content), '\n'), 0o644))
		reason := "content changed"
		if e.SHA256 == "" {
			reason = "metadata changed"
			x.ok(os.Remove(e.Path))
			if !x.tellsTimes(e) {
				reason = "vanished"
			} else {
				x.ok(os.WriteFile(e.Path, append(bytes.Clone(content), '\n'), info.Mode().Perm()))
			}
		}
		x.stale(e.Path, reason)
		x.ok(os.WriteFile(e.Path, content, info.Mode().Perm()))
		x.ok(os.Chmod(e.Path, info.Mode().Perm()))
		x.ok(os.Chtimes(e.Path, info.ModTime(), info.ModTime()))
	case "absent":
		if _, err := os.Lstat(filepath.Dir(e.Path)); err != nil {
			return // comes with its directory
		}
		x.ok(os.WriteFile(e.Path, nil, 0o644))
		x.stale(e.Path, "appeared")
		x.ok(os.Remove(e.Path))
	case "dir":
		if e.Entries == "" {
			return
		}
		name := filepath.Join(e.Path, "a new name")
		x.ok(os.WriteFile(name, nil, 0o644))
		x.stale(e.Path, "listing changed")
		x.ok(os.Remove(name))
	case "symlink":
		x.ok(os.Remove(e.Path))
		x.ok(os.Symlink("elsewhere", e.Path))
		x.stale(e.Path, "symlink changed")
		x.ok(os.Remove(e.Path))
		x.ok(os.Symlink(e.Target, e.Path))
	default:
		x.t.Errorf("input %+v: what is that?", e)
	}
	x.valid("with " + e.Path + " as it was")
}

// tellsTimes reports whether the manifest has an input's size.
func (x *looping) tellsTimes(e loopEntry) bool {
	data, err := os.ReadFile(x.manifest)
	x.ok(err)
	for line := range strings.Lines(string(data)) {
		if strings.HasPrefix(line, ` {"path":"`+e.Path+`","state":"file"`) {
			return strings.Contains(line, `"mtime"`)
		}
	}
	return false
}

// changeOthers changes what is no input.
func (x *looping) changeOthers() {
	x.t.Helper()
	known := map[string]bool{}
	for _, e := range append(x.inputs(), x.doc.Outputs...) {
		known[e.Path] = true
	}
	changed := 0
	for name, what := range harness.ReadTree(x.t, x.dir) {
		path := filepath.Join(x.dir, name)
		if !known[path] && strings.HasPrefix(what, "-") {
			x.ok(os.WriteFile(path, []byte("changed"), 0o644))
			changed++
		}
	}
	if changed == 0 {
		x.t.Errorf("nothing to change beside the inputs")
	}
	x.valid("after changing what is no input")
}

func (x *looping) ok(err error) {
	x.t.Helper()
	if err != nil {
		x.t.Fatal(err)
	}
}
