package manifest

import (
	"cmp"
	"slices"
	"strings"

	"github.com/fstrace/fstrace/events"
)

// A Change is an entry that differs between two manifests.
type Change struct {
	Output bool // an output; otherwise an input
	Path   string
	A, B   *Entry // the entries; nil if a manifest has none
}

// Diff returns the inputs and outputs that differ between two manifests, sorted by path,
// inputs first. If both have a root, paths below the roots are compared relative to them.
func Diff(a, b *Manifest) []Change {
	if a.Root == "" || b.Root == "" {
		list := diffEntries(a.Inputs, b.Inputs, "", "", false)
		return append(list, diffEntries(a.Outputs, b.Outputs, "", "", true)...)
	}
	list := diffEntries(a.Inputs, b.Inputs, a.Root, b.Root, false)
	return append(list, diffEntries(a.Outputs, b.Outputs, a.Root, b.Root, true)...)
}

func diffEntries(a, b []Entry, rootA, rootB string, output bool) []Change {
	changes := make(map[string]*Change)
	for i := range a {
		path := a[i].Path
		changes[path] = &Change{Output: output, Path: path, A: &a[i]}
	}
	for i := range b {
		path := b[i].Path
		if rootA != "" && isWithin(path, rootB) {
			path = strings.TrimSuffix(rootA, "/") + path[len(strings.TrimSuffix(rootB, "/")):]
		}
		c := changes[path]
		if c == nil {
			c = &Change{Output: output, Path: path}
			changes[path] = c
		}
		c.B = &b[i]
	}
	var list []Change
	for _, c := range changes {
		if c.A == nil || c.B == nil || !sameState(c.A, c.B) {
			list = append(list, *c)
		}
	}
	slices.SortFunc(list, func(x, y Change) int { return cmp.Compare(x.Path, y.Path) })
	return list
}

// sameState reports whether two entries of a path compare with the same.
func sameState(a, b *Entry) bool {
	return a.State == b.State && a.SHA256 == b.SHA256 && a.Size == b.Size && a.Mtime == b.Mtime &&
		a.Mode == b.Mode && a.Target == b.Target && a.Entries == b.Entries
}

// String returns the line that fstrace diff prints.
func (c *Change) String() string {
	kind := "input"
	if c.Output {
		kind = "output"
	}
	path := kind + " " + events.Quote(c.Path)
	switch {
	case c.B == nil:
		return "- " + path + ": " + describe(c.A)
	case c.A == nil:
		return "+ " + path + ": " + describe(c.B)
	}
	return "! " + path + ": " + describe(c.A) + " -> " + describe(c.B)
}

// describe describes an entry for a person.
func describe(e *Entry) string {
	const digits = 12 // of a hash: as many as git shows of a large repository's
	parts := []string{e.State.String()}
	switch {
	case e.SHA256 != "":
		parts = append(parts, e.SHA256[:digits])
	case e.Entries != "":
		parts = append(parts, e.Entries[:digits])
	case e.Target != "":
		parts = append(parts, "to "+events.Quote(e.Target))
	}
	if e.State.String() == "file" || e.State.String() == "dir" {
		parts = append(parts, formatMode(e.Mode))
	}
	return strings.Join(parts, " ")
}
