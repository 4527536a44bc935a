package manifest

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/fstrace/fstrace/events"
)

// makers make something temporary in /w, for the i-th time.
var makers = map[string]func(p *play, i int){
	"the same name": func(p *play, _ int) {
		p.write("/w/t", "x")
		p.open("/w/t", &other, "O_WRONLY")
		p.unlink("/w/t")
	},
	"other names": func(p *play, i int) {
		path := fmt.Sprint("/w/t", i)
		p.write(path, "x")
		p.stat(path)
		p.unlink(path)
	},
	"renamed": func(p *play, i int) {
		path := fmt.Sprint("/w/t", i)
		p.write(path, "x")
		p.rename(path, "/w/final")
	},
	"symbolic links": func(p *play, i int) {
		path := fmt.Sprint("/w/t", i)
		p.event(&events.Event{Op: events.OpCreate, Syscall: "symlink", Path: path, Target: "x"})
		p.fs.symlink(path, "x")
		p.rename(path, "/w/final")
	},
	"in a directory that is removed, too": func(p *play, i int) {
		dir := fmt.Sprint("/w/d", i)
		p.mkdir(dir)
		p.mkdir(dir + "/sub")
		p.write(dir+"/sub/t", "x")
		p.unlink(dir + "/sub/t")
		p.rmdir(dir + "/sub")
		p.rmdir(dir)
	},
	"in a directory that is renamed, and removed": func(p *play, i int) {
		dir := fmt.Sprint("/w/d", i)
		p.mkdir(dir)
		p.write(dir+"/t", "x")
		p.rename(dir, dir+".new")
		p.unlink(dir + ".new/t")
		p.rmdir(dir + ".new")
	},
	"in a directory that stays": func(p *play, i int) {
		if i == 0 {
			p.mkdir("/w/d")
		}
		path := fmt.Sprint("/w/d/t", i)
		p.write(path, "x")
		p.unlink(path)
	},
}

func (p *play) rmdir(path string) {
	p.event(&events.Event{Op: events.OpDelete, Syscall: "rmdir", Path: path})
	p.fs.remove(path)
}

// TestForgetSize: what a session makes and removes leaves nothing behind but counts.
func TestForgetSize(t *testing.T) {
	for what, makeOne := range makers {
		t.Run(what, func(t *testing.T) {
			names, most := 30_000, uint64(16<<20)
			if what == "the same name" {
				names, most = 200_000, 6<<20
			}
			p := newPlay(t, newFakeFS(), Options{})
			before := heap()
			for i := range names {
				makeOne(p, i)
			}
			if after := heap(); after > before+most {
				t.Errorf("%d bytes for %d names", after-before, names)
			}
			runtime.KeepAlive(p)
			if m := p.end(); !m.Complete() || len(m.Temporary) > 2*keptTemporaries || p.out.Len() > 4<<20 {
				t.Errorf("incomplete %v, %d temporary, %d bytes of document", m.Incomplete, len(m.Temporary), p.out.Len())
			}
		})
	}
}

// forgetful is a session that keeps as many temporary names as told.
func forgetful(t *testing.T, keep int, files ...string) *play {
	t.Helper()
	fs := newFakeFS()
	for _, path := range files {
		fs.write(path, "was "+path)
	}
	fs.later()
	p := newPlay(t, fs, Options{})
	p.r.fold.forgotten.keep, p.sweeping = keep, true
	return p
}

func (p *play) temporaries(n int) {
	for i := range n {
		makers["other names"](p, i)
	}
}

func appeared(t *testing.T, m *Manifest, fs fileSystem, o CheckOptions) (paths []string) {
	t.Helper()
	list, err := checkBothWays(m, o, fs)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range list {
		if d.Reason == Appeared {
			paths = append(paths, d.Path)
		}
	}
	return paths
}

// TestForgotten: each name that was forgotten must be absent, and other names need not
// be.
func TestForgotten(t *testing.T) {
	const names = 200
	p := forgetful(t, 2, "/w/a")
	p.read("/w/a")
	p.temporaries(names)
	m := p.end()
	if len(m.Forgotten) != 1 || m.Forgotten[0].Dir != "/w" || int(m.Forgotten[0].Count)+len(m.Temporary) != names || len(m.Temporary) > 3 {
		t.Fatalf("%+v, temporary %v", m.Forgotten, m.Temporary)
	}
	for _, o := range []CheckOptions{{}, {AsFound: true}} {
		if got := appeared(t, m, p.fs, o); got != nil {
			t.Errorf("as it was left: %v", got)
		}
		for i := range names {
			path := fmt.Sprint("/w/t", i)
			p.fs.mkdir(path)
			if got := appeared(t, m, p.fs, o); !slices.Equal(got, []string{path}) {
				t.Errorf("with %s: appeared %v", path, got)
			}
			p.fs.remove(path)
		}
		others := 0
		for i := range 1000 {
			path := fmt.Sprint("/w/other", i)
			p.fs.write(path, "")
			others += len(appeared(t, m, p.fs, o))
			p.fs.remove(path)
		}
		if others > 20 {
			t.Errorf("of 1000 other names, %d are in the filter", others)
		}
		m.Only = []string{"/w/a"}
		p.fs.write("/w/t0", "")
		if got := appeared(t, m, p.fs, o); got != nil {
			t.Errorf("hidden by a pattern: %v", got)
		}
		p.fs.remove("/w/t0")
		m.Only = nil
	}
}

// TestForgottenAny: without room for a filter each name counts, but those that were
// there.
func TestForgottenAny(t *testing.T) {
	p := forgetful(t, 2, "/w/a", "/w/b")
	p.r.fold.forgotten.budget = 100
	p.read("/w/a")
	p.temporaries(200)
	p.write("/w/out", "x")
	m := p.end()
	if len(m.Forgotten) != 1 || !m.Forgotten[0].Any || !slices.Equal(m.Forgotten[0].Except, []string{"b"}) || !m.Complete() {
		t.Fatalf("%+v, incomplete %v", m.Forgotten, m.Incomplete)
	}
	if got := appeared(t, m, p.fs, CheckOptions{}); got != nil {
		t.Errorf("as it was left: %v", got)
	}
	p.fs.write("/w/t0", "")
	if got := appeared(t, m, p.fs, CheckOptions{}); !slices.Equal(got, []string{"/w/t0"}) {
		t.Errorf("appeared %v", got)
	}
}

// TestForgottenAgain: somebody else makes what was forgotten.
func TestForgottenAgain(t *testing.T) {
	for what, look := range map[string]func(p *play){
		"and the command reads it":   func(p *play) { p.read("/w/t0") },
		"and the command removes it": func(p *play) { p.unlink("/w/t0") },
		"and it stays":               func(*play) {},
	} {
		p := forgetful(t, 2, "/w/a")
		p.temporaries(100)
		p.fs.write("/w/t0", "somebody else")
		look(p)
		if m := p.end(); m.Complete() || !strings.HasPrefix(m.Incomplete[0].Detail, "/w/t0: somebody else made it") {
			t.Errorf("%s: incomplete %v", what, m.Incomplete)
		}
	}
	p := forgetful(t, 2, "/w/a")
	p.temporaries(100)
	p.write("/w/t0", "the command")
	p.read("/w/t0")
	if m := p.end(); !m.Complete() || len(m.Outputs) != 1 || appeared(t, m, p.fs, CheckOptions{}) != nil {
		t.Errorf("made again by the command: incomplete %v, outputs %v", m.Incomplete, m.Outputs)
	}
}

// TestForgottenListing: a name that was there when the command listed its directory is
// not a part of the listing when it is forgotten, either.
func TestForgottenListing(t *testing.T) {
	p := forgetful(t, 2, "/w/a")
	p.write("/w/t0", "x")
	p.list("/w")
	p.temporaries(100)
	m := p.end()
	i := slices.IndexFunc(m.Inputs, func(e Entry) bool { return e.Path == "/w" })
	if !m.Complete() || !slices.Equal(m.Inputs[i].Names, []string{"f:a"}) {
		t.Errorf("%+v, incomplete %v", m.Inputs[i], m.Incomplete)
	}
}

// TestForgottenLate: a name is not forgotten because its directory has another name by
// now: it may still be there.
func TestForgottenLate(t *testing.T) {
	p := forgetful(t, 0, "/w/a")
	p.late = true
	p.mkdir("/w/d")
	p.write("/w/d/t", "x")
	p.event(&events.Event{Op: events.OpDelete, Syscall: "unlink", Path: "/w/d/t"}) // fails
	p.access("/w/a")
	p.rename("/w/d", "/w/e")
	p.access("/w/a")
	m := p.end()
	if !slices.ContainsFunc(m.Outputs, func(e Entry) bool { return e.Path == "/w/e/t" }) {
		t.Errorf("outputs %v", m.Outputs)
	}
}

// TestNameFilter: a filter has what was put into it, whatever becomes of it.
func TestNameFilter(t *testing.T) {
	const names = 3 * mostHashes
	q := newForgetter()
	var s, merged forgottenNames
	q.add(&merged, hashName("own"))
	for i := range names {
		q.add(&s, hashName(fmt.Sprint(i)))
		if n := i + 1; n == 1 || n == 100 || n == mostHashes || n == names {
			filter := Forgotten{Filter: s.filter()}
			for j := range n {
				if name := fmt.Sprint(j); !s.has(name) || !filter.has(name) {
					t.Fatalf("%d of %d names is not there", j, n)
				}
			}
		}
	}
	merged.merge(&s, &q)
	for i := range names {
		if !merged.has(fmt.Sprint(i)) || !merged.has("own") {
			t.Fatalf("%d is not there", i)
		}
	}
	if want := filterBudget - 2*filterBytes; q.budget != want {
		t.Errorf("a budget of %d is left, not %d", q.budget, want)
	}
	q.giveUp(&s)
	q.giveUp(&merged)
	if q.budget != filterBudget || !s.has("x") {
		t.Errorf("a budget of %d is left", q.budget)
	}
}
