package manifest

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/fstrace/fstrace/events"
)

// fill adds the directories that a glanceTree left out: a manifest without patterns has
// all directories on the way to its paths.
func (x *glanceTree) fill(t *testing.T) {
	t.Helper()
	for _, list := range [...][]Entry{x.m.Inputs, x.m.Outputs} {
		for i := range list {
			for dir := parentOf(list[i].Path); isWithin(dir, x.dir); dir = parentOf(dir) {
				if findEntry(x.m.Inputs, dir) != nil {
					continue
				}
				info, err := newOSFS().lstat(dir)
				if err != nil {
					continue // something above it is no directory
				}
				e := newEntry(dir, stateOf(&info, nil))
				e.Mode = permissions(info.Mode)
				if e.State != events.StateDir {
					continue
				}
				x.m.Inputs = append(x.m.Inputs, e)
				x.m.sort()
			}
		}
	}
}

// TestPathSet: what is there now has the digest of what was found if and only if check
// finds no difference.
func TestPathSet(t *testing.T) {
	seed := rand.Uint64()
	if testing.Short() {
		seed = 1
	}
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	valid, stale := 0, 0
	for range 20 {
		x := newGlanceTree(t, rnd)
		x.m.Forgotten = nil
		x.fill(t)
		for range 6 {
			for _, o := range []PathSetOptions{
				{},
				{Times: TimesStrict},
				{Times: TimesIgnore, IgnoreFormerOutputs: true},
				{Places: Places{{"root", x.dir}}},
			} {
				p, err := NewPathSet(x.m, o)
				if err != nil {
					t.Fatal(err)
				}
				if p, err = DecodePathSet(p.Encode(), o.Places); err != nil {
					t.Fatal(err)
				}
				found := p.Found(x.m, o)
				now, err := NewChecker().Look(p, nil)
				if err != nil {
					t.Fatal(err)
				}
				list, err := Check(x.m, CheckOptions{AsFound: true, Times: o.Times, IgnoreFormerOutputs: o.IgnoreFormerOutputs})
				if err != nil {
					t.Fatal(err)
				}
				same := bytes.Equal(found, now)
				for _, path := range p.Free(x.m) {
					_, err := os.Lstat(path)
					same = same && isAbsent(cause(err))
				}
				if same != (len(list) == 0) {
					t.Fatalf("%+v: the same: %v; check: %v", o, same, list)
				}
				differences, err := p.Differences(found, now)
				if err != nil || (len(differences) == 0) != bytes.Equal(found, now) {
					t.Fatalf("%+v: %v, %v; check: %v", o, differences, err, list)
				}
				if same {
					valid++
				} else {
					stale++
				}
			}
			x.change(t, rnd)
		}
	}
	if valid == 0 || stale == 0 {
		t.Errorf("%d valid, %d stale", valid, stale)
	}
}

// TestPathSetElsewhere: a set of paths in one directory asks for those in another one,
// and for what is above it.
func TestPathSetElsewhere(t *testing.T) {
	top := t.TempDir()
	a, b, deeper := filepath.Join(top, "a", "p"), filepath.Join(top, "b", "p"), filepath.Join(top, "b", "c", "p")
	for _, dir := range []string{a, b, deeper} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "f"), []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	m := &Manifest{Cwd: a}
	dir := newEntry(filepath.Dir(a), events.StateDir)
	dir.Mode, dir.UID, dir.GID = 0o700, 12345, 0 // matters to nobody who is below it
	f := newEntry(filepath.Join(a, "f"), events.StateFile)
	f.SHA256, f.Size, f.Mode = sumOf("x"), 1, 0o644
	m.Inputs = []Entry{dir, newEntry(filepath.Join(top, "a", "rc"), events.StateAbsent), f}
	m.sort()
	o := PathSetOptions{Places: Places{{"root", a}}}
	p, err := NewPathSet(m, o)
	if err != nil {
		t.Fatal(err)
	}
	found := p.Found(m, o)
	is := func(where string, want bool) {
		t.Helper()
		p, err := DecodePathSet(p.Encode(), Places{{"root", where}})
		if err != nil {
			t.Fatal(err)
		}
		now, err := NewChecker().Look(p, nil)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Equal(found, now) != want {
			t.Errorf("%s: the same: %v", where, bytes.Equal(found, now))
		}
	}
	is(a, true)
	is(b, true)
	is(deeper, false) // a plain run would look in one directory more
	for _, rc := range []string{"a", "b"} {
		// As a plain run in b would look for it: from there upwards, or in a.
		name := filepath.Join(top, rc, "rc")
		if err := os.WriteFile(name, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		is(b, false)
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(b, "f"), 0o600); err != nil {
		t.Fatal(err)
	}
	is(b, false)
}

// TestPathSetDamaged: a document that Encode did not return is refused.
func TestPathSetDamaged(t *testing.T) {
	for document, want := range map[string]error{
		``:                     ErrDamaged,
		`{}`:                   ErrDamaged,
		`{"fstracePathSet":2}`: ErrVersion,
		`{"fstracePathSet":1,"paths":[{"path":"//else/x"}]}`:             ErrDamaged,
		`{"fstracePathSet":1,"paths":[{"path":"x"}]}`:                    ErrDamaged,
		`{"fstracePathSet":1,"paths":[{"path":"/x","facts":["color"]}]}`: ErrDamaged,
		`{"fstracePathSet":1,"paths":[{}]}`:                              ErrDamaged,
	} {
		if _, err := DecodePathSet([]byte(document), Places{{"root", "/r"}}); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", document, err, want)
		}
	}
}
