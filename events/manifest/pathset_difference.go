package manifest

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/internal/jsonstring"
)

// Differences compares two texts of [PathSet.Found] or [Checker.Look] of one set. It
// returns ErrDamaged if one of them is not a text of that set.
func (p *PathSet) Differences(found, now []byte) ([]Difference, error) {
	a, errA := p.parse(found)
	b, errB := p.parse(now)
	if err := cmp.Or(errA, errB); err != nil {
		return nil, fmt.Errorf("path set: %w: %v", ErrDamaged, err)
	}
	var list []Difference
	for i := range a {
		list = append(list, a[i].differ(&b[i])...)
	}
	return list, nil
}

// parse returns the entries of a text.
func (p *PathSet) parse(text []byte) ([]Entry, error) {
	var reader rowReader
	var parser parser
	list := make([]Entry, 0, len(p.questions))
	for _, line := range strings.Split(string(text), strings.TrimSuffix(newRow, " ")) {
		if !strings.HasPrefix(line, " {") {
			continue // the first, or the depth of a place
		}
		w, _, err := reader.next(line)
		if err != nil {
			return nil, err
		}
		if len(list) == len(p.questions) {
			return nil, fmt.Errorf("more than %d rows", len(list))
		}
		want, form := p.questions[len(list)].path, jsonstring.Join(w.Path, w.PathBase64)
		if form != want {
			return nil, fmt.Errorf("%q in place of %q", form, want)
		}
		var e Entry
		w.Path, w.PathBase64 = p.absolute(form), nil
		parser.entry(w, &e)
		list = append(list, e)
	}
	if len(list) < len(p.questions) {
		return nil, fmt.Errorf("%d rows of %d", len(list), len(p.questions))
	}
	return list, parser.err
}

// differ compares two entries with the same facts.
func (e *Entry) differ(now *Entry) []Difference {
	switch {
	case e.State != now.State && !exists(now.State):
		return differ(Vanished, e.Path, "")
	case e.State != now.State && !exists(e.State):
		return differ(Appeared, e.Path, "")
	case e.State != now.State:
		return differ(TypeChanged, e.Path, "was "+e.State.String()+", is "+now.State.String())
	case e.Error != now.Error:
		return differ(TypeChanged, e.Path, fmt.Sprintf("absent by %s, by %s now", cmp.Or(e.Error, "ENOENT"), cmp.Or(now.Error, "ENOENT")))
	case e.Target != now.Target:
		return differ(SymlinkChanged, e.Path, fmt.Sprintf("%s -> %s", events.Quote(e.Target), events.Quote(now.Target)))
	}
	var list []Difference
	add := func(r Reason, detail string) { list = append(list, differ(r, e.Path, detail)...) }
	switch {
	case e.SHA256 != now.SHA256:
		add(ContentChanged, "")
	case e.Size != now.Size:
		add(MetadataChanged, fmt.Sprintf("size: %d -> %d", e.Size, now.Size))
	}
	if e.Entries != now.Entries {
		d := Difference{Reason: ListingChanged, Path: e.Path}
		if e.Names != nil && now.Names != nil {
			d.Added, d.Gone = differences(e.Names, now.Names)
		}
		list = append(list, d)
	}
	if e.NotEmpty != now.NotEmpty {
		add(ListingChanged, "is empty")
	}
	if e.Mode != now.Mode {
		add(ModeChanged, formatMode(e.Mode)+" -> "+formatMode(now.Mode))
	}
	if e.UID != now.UID || e.GID != now.GID {
		add(OwnerChanged, fmt.Sprintf("%d:%d -> %d:%d", e.UID, e.GID, now.UID, now.GID))
	}
	if e.Mtime != now.Mtime {
		add(MetadataChanged, "time")
	}
	if e.Links != now.Links {
		add(MetadataChanged, fmt.Sprintf("links: %d -> %d", e.Links, now.Links))
	}
	return list
}
