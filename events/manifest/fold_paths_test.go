package manifest

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestPaths: what was named is found, nothing else is, and all come sorted as strings,
// whatever bytes sort before the slash.
func TestPaths(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		path := rapid.StringMatching(`(/[ab!.\-0é]{1,3}){1,4}`)
		named := rapid.SliceOfDistinct(path, rapid.ID[string]).Draw(r, "named")
		p := newPaths()
		all := map[string]bool{"/": true}
		for _, s := range named {
			if got := p.at(s).path(); got != s {
				t.Fatalf("%q is called %q", s, got)
			}
			for ; s != "/"; s = parentOf(s) {
				all[s] = true
			}
		}
		var got []string
		for _, o := range p.sorted(func(*origin) bool { return true }) {
			got = append(got, o.path())
		}
		if len(got) != len(all) || !slices.IsSorted(got) {
			t.Errorf("%d paths, want %d, sorted: %q", len(got), len(all), got)
		}
		if s := path.Draw(r, "other"); (p.find(s) != nil) != all[s] {
			t.Errorf("find %q: %v", s, p.find(s))
		}
	})
}

// TestManyChildren: a directory with more entries than are looked through one by one.
func TestManyChildren(t *testing.T) {
	p := newPaths()
	const n = 10_000
	for i := range n {
		p.at(fmt.Sprint("/d/", i))
		p.at(fmt.Sprint("/d/", i)) // is the same
	}
	d := p.find("/d")
	if got := len(d.more.below.list); got != n {
		t.Errorf("%d children, want %d", got, n)
	}
	for i := range n {
		if o := d.more.below.find(fmt.Sprint(i)); o == nil || o.path() != fmt.Sprint("/d/", i) {
			t.Fatalf("%d: %v", i, o)
		}
	}
	if o := p.find("/d/x"); o != nil {
		t.Errorf("found what was never named: %s", o.path())
	}
}
