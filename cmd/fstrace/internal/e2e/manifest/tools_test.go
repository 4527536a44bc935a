package manifest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fstrace/fstrace/testdata/harness"
)

// A toolRow is a job of a real program that is run twice: each time all must be as it
// left it, and after a change not.
type toolRow struct {
	name    string
	tools   []string
	project string // below testdata, copied; none if empty
	setup   string // shell scripts, in the directory
	command string
	change  string
	slow    bool
}

var toolRows = []toolRow{
	{name: "gcc", tools: []string{"gcc"}, project: "loops/c", command: "gcc -o main main.c", change: "echo >>local.h"},
	{name: "gcc -MMD -c", tools: []string{"gcc"}, project: "loops/c", command: "gcc -MMD -c main.c", change: "echo >>local.h"},
	{name: "make", tools: []string{"make", "gcc"}, project: "projects/make", command: "make", change: "echo >>src/left.c"},
	{name: "cmake", tools: []string{"cmake", "ninja", "gcc"}, project: "projects/cmake", command: "cmake -S . -B build -G Ninja", change: "echo >>CMakeLists.txt"},
	{
		name: "ninja", tools: []string{"cmake", "ninja", "gcc"}, project: "projects/cmake", setup: "cmake -S . -B build -G Ninja",
		command: "ninja -C build", change: "echo >>src/main.c",
	},
	{
		name: "npm ci", tools: []string{"npm", "node"}, project: "projects/npm",
		setup:   "npm pack --silent ./lib && cd app && npm install --offline --silent && rm -r node_modules",
		command: "cd app && npm ci --offline --silent", change: "sed -i s/lib/other/ app/package.json",
	},
	{name: "tsc", tools: []string{"node", "npm"}, project: "loops/tsc", command: "node $MODULES/typescript/lib/tsc.js -p .", change: "echo >>src/shout.ts"},
	{
		name: "pytest", tools: []string{"pytest"},
		setup:   "echo 'def shout(s): return s.upper()' >words.py; echo 'from words import shout\ndef test_shout(): assert shout(\"a\") == \"A\"' >test_words.py",
		command: "pytest -q", change: "echo >>words.py",
	},
	{name: "cargo", tools: []string{"cargo", "gcc"}, project: "loops/cargo", command: "cargo build --offline", change: "echo >>src/words.rs", slow: true},
	{
		name: "git status", tools: []string{"git"},
		setup:   "git init -q . && mkdir d && echo 1 >d/a && echo 2 >b && git add . && git -c user.name=a -c user.email=b commit -qm x && echo 3 >b",
		command: "git status --short", change: "echo 4 >>d/a",
	},
	{name: "tar", tools: []string{"tar"}, project: "projects/make", command: "tar -cf out.tar src", change: "echo >>src/left.c"},
	{name: "tar -x", tools: []string{"tar"}, project: "projects/make", setup: "tar -cf in.tar src; mkdir out", command: "tar -xf in.tar -C out", change: "echo >>src/left.c; tar -cf in.tar src"},
	{name: "cp -a", project: "projects/make", setup: "mkdir dst", command: "cp -a src/. dst/", change: "echo >>src/left.c"},
	{name: "rsync", tools: []string{"rsync"}, project: "projects/make", command: "rsync -a src/ dst/", change: "echo >>src/left.c"},
}

// TestSecondRuns: of a real tool's job all is as it left it, the second time too, when
// there is nothing to do or it does the same again; and after an input has changed not.
func TestSecondRuns(t *testing.T) {
	for _, r := range toolRows {
		t.Run(strings.ReplaceAll(r.name, " ", "_"), r.run)
	}
}

func (r toolRow) run(t *testing.T) {
	t.Parallel()
	for _, tool := range r.tools {
		harness.NeedTool(t, tool)
	}
	if r.slow && testing.Short() {
		t.Skip("short: takes seconds")
	}
	beside := harness.OpenDir(t)
	x := &looping{t: t, dir: filepath.Join(beside, "project"), fstrace: harness.Fstrace(t), manifest: filepath.Join(beside, "m.json")}
	if r.project == "" {
		harness.Mkdir(t, x.dir)
	} else if err := os.CopyFS(x.dir, os.DirFS(harness.Source("testdata", filepath.FromSlash(r.project)))); err != nil {
		t.Fatal(err)
	}
	home := filepath.Join(beside, "home")
	harness.WriteFile(t, filepath.Join(home, ".npmrc"), "cache="+filepath.Join(beside, "npm")+"\nfund=false\naudit=false\nupdate-notifier=false\nlogs-max=0\n")
	// Rust's own directory must not be looked for in that home.
	for name, dir := range map[string]string{"RUSTUP_HOME": ".rustup"} {
		if was, err := os.UserHomeDir(); err == nil && os.Getenv(name) == "" {
			x.env = append(x.env, name+"="+filepath.Join(was, dir))
		}
	}
	x.env = append(append(os.Environ(), x.env...), "HOME="+home, "XDG_CACHE_HOME="+filepath.Join(beside, "cache"), "LC_ALL=C",
		"CARGO_HOME="+filepath.Join(beside, "cargo"), "CARGO_TARGET_DIR="+filepath.Join(x.dir, "target"), "NINJA_STATUS=")
	if strings.Contains(r.command, "$MODULES") {
		r.command = strings.ReplaceAll(r.command, "$MODULES", filepath.Join(harness.WebModules(t), "node_modules"))
	}
	if r.setup != "" {
		x.must("sh", "-c", r.setup)
	}
	for _, when := range []string{"first", "second"} {
		x.must(x.fstrace, "-q", "-f", "manifest", "-o", x.manifest, "--", "sh", "-c", r.command)
		if status, out := x.check(); status != harness.ExitValid {
			t.Errorf("after the %s run: check: status %d, want 0\n%s", when, status, firstLines(out, 12))
		}
		for _, flags := range [][]string{{"--as-found"}, {"--as-found", "--times", "ignore"}, {"--times", "strict"}} {
			status, out := x.ask(flags...)
			t.Logf("after the %s run: check %s: status %d %s", when, strings.Join(flags, " "), status, firstLines(out, 2))
		}
	}
	x.must("sh", "-c", r.change)
	if status, out := x.check(); status != harness.ExitStale {
		t.Errorf("after %q: check: status %d, want 1\n%s", r.change, status, out)
	}
}

// firstLines shortens what check prints.
func firstLines(s string, n int) string {
	lines := strings.SplitAfter(s, "\n")
	if len(lines) <= n {
		return s
	}
	return strings.Join(lines[:n], "") + fmt.Sprintf("... %d more\n", len(lines)-n)
}
