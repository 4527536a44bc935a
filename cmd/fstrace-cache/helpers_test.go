package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fstrace/fstrace/testdata/harness"
	"golang.org/x/sys/unix"
)

// A project is a directory in which commands are run with the cache, and without it.
type project struct {
	t     *testing.T
	exe   string
	dir   string
	store string
	env   []string
	flags []string // of each run
}

func newProject(t *testing.T) *project {
	t.Helper()
	base := harness.OpenDir(t)
	p := &project{t: t, exe: harness.FstraceCache.Install(t, base), dir: filepath.Join(base, "src"), store: filepath.Join(base, "store")}
	harness.Mkdir(t, p.dir)
	// gcc asks for the directory that PWD names: that of the test, by chance.
	p.env = []string{"XDG_CACHE_HOME=" + filepath.Join(base, "hashes"), "PWD=/"}
	return p
}

// elsewhere is a copy of the project in another directory, with the same store.
func (p *project) elsewhere(elem ...string) *project {
	p.t.Helper()
	q := *p
	q.dir = filepath.Join(append([]string{filepath.Dir(p.dir)}, elem...)...)
	harness.Mkdir(p.t, filepath.Dir(q.dir))
	if err := os.CopyFS(q.dir, os.DirFS(p.dir)); err != nil {
		p.t.Fatal(err)
	}
	return &q
}

func (p *project) write(name, content string) {
	p.t.Helper()
	harness.WriteFile(p.t, filepath.Join(p.dir, name), content)
}

func (p *project) read(name string) string {
	p.t.Helper()
	b, err := os.ReadFile(filepath.Join(p.dir, name))
	if err != nil {
		p.t.Fatal(err)
	}
	return string(b)
}

func (p *project) remove(names ...string) {
	p.t.Helper()
	for _, name := range names {
		if err := os.RemoveAll(filepath.Join(p.dir, name)); err != nil {
			p.t.Fatal(err)
		}
	}
}

// age gives all files the same times as ever: rm(1), for example, asks for them.
func (p *project) age() {
	p.t.Helper()
	old := []unix.Timespec{{Sec: 1e9}, {Sec: 1e9}}
	err := filepath.WalkDir(p.dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return unix.UtimesNanoAt(unix.AT_FDCWD, path, old, unix.AT_SYMLINK_NOFOLLOW)
	})
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *project) tool(argv ...string) harness.Outcome {
	p.t.Helper()
	trial := harness.Trial{Dir: p.dir, Env: p.env}
	return trial.Run(p.t, append([]string{p.exe}, argv...))
}

// run runs a command with the cache. What run --json prints is taken off standard error.
func (p *project) run(argv ...string) (harness.Outcome, report) {
	p.t.Helper()
	args := append([]string{"run", "--json", "--dir", p.store}, p.flags...)
	out := p.tool(append(append(args, "--"), argv...)...)
	var r report
	at := max(strings.LastIndex(out.Stderr, `{"hit":`), 0)
	if err := json.Unmarshal([]byte(out.Stderr[at:]), &r); err != nil {
		p.t.Fatalf("%q: no report: %v\n%s", argv, err, out.Stderr)
	}
	out.Stderr = out.Stderr[:at]
	return out, r
}

// runs checks that a command runs and that its result is kept.
func (p *project) runs(argv ...string) harness.Outcome {
	p.t.Helper()
	out, r := p.run(argv...)
	if r.Hit || !r.Kept {
		p.t.Fatalf("%q: %+v; it should have run and been kept\n%s", argv, r, out.Stderr)
	}
	return out
}

// hits checks that a command's result is restored.
func (p *project) hits(argv ...string) harness.Outcome {
	p.t.Helper()
	out, r := p.run(argv...)
	if !r.Hit {
		p.t.Fatalf("%q: %+v; it should have been restored\n%s%s%s", argv, r, out.Stderr, p.explain(argv...), p.pathSets())
	}
	return out
}

// pathSets returns the path sets in the store, without what is in /usr.
func (p *project) pathSets() string {
	p.t.Helper()
	files, err := filepath.Glob(filepath.Join(p.store, "cas", "*", "*"))
	if err != nil {
		p.t.Fatal(err)
	}
	var text strings.Builder
	for _, name := range files {
		var set struct {
			Paths []struct {
				Path  string
				Facts []string
			}
		}
		if b, err := os.ReadFile(name); err != nil || json.Unmarshal(b, &set) != nil || set.Paths == nil {
			continue
		}
		fmt.Fprintln(&text, "path set:")
		for _, x := range set.Paths {
			if !strings.HasPrefix(x.Path, "/usr/") {
				fmt.Fprintln(&text, " ", x.Path, x.Facts)
			}
		}
	}
	return text.String()
}

// refused checks that a command runs, that its result is not kept, and why.
func (p *project) refused(reason, detail string, argv ...string) {
	p.t.Helper()
	_, r := p.run(argv...)
	if r.Hit || r.Kept || r.Reason != reason || !strings.Contains(r.Detail, detail) {
		p.t.Errorf("%q: %+v, want %q with %q", argv, r, reason, detail)
	}
}

func (p *project) explain(argv ...string) string {
	p.t.Helper()
	args := append([]string{"explain", "--dir", p.store}, p.flags...)
	return p.tool(append(append(args, "--"), argv...)...).Stdout
}

// same checks that a command leaves, prints and returns with the cache what it does
// without, in a tree that make sets up before each: run, then restored from an empty
// tree, then from what it left.
func (p *project) same(set func(*project), argv ...string) {
	p.t.Helper()
	fresh := func() {
		p.t.Helper()
		p.remove(".")
		harness.Mkdir(p.t, p.dir)
		set(p)
		p.age()
	}
	fresh()
	trial := harness.Trial{Dir: p.dir, Env: p.env}
	want := trial.Run(p.t, argv)
	tree := harness.ReadTree(p.t, p.dir)
	for i, step := range []func(...string) harness.Outcome{p.runs, p.hits} {
		fresh()
		got := step(argv...)
		harness.Same(p.t, want, got, nil)
		if left := harness.ReadTree(p.t, p.dir); !maps.Equal(tree, left) {
			p.t.Errorf("%q, step %d: left\n%v\nnot\n%v", argv, i, left, tree)
		}
	}
}
