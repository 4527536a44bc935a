package manifest

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/fstrace/fstrace/events"
)

// A PathSet is what a command depends on, without how it was: paths, and for each path
// the facts that matter ([CheckOptions.AsFound]). It divides the lookup in a cache into
// two steps: from a command to the path sets of its earlier runs, and from a path set and
// what is at its paths now to the result of a run.
//
// [PathSet.Found] returns what a run found, and [Checker.Look] what is there now, both as
// text. The texts are equal, and nothing is at the paths of [PathSet.Free], if and only
// if [Check] of the run's manifest, with the same options, finds no difference. A cache
// uses a digest of the text as its key.
//
// A PathSet does not change. Its methods may be called concurrently.
type PathSet struct {
	places    Places
	questions []question // sorted by path, then facts
	// depth means that some paths are above a place. Then the number of directories above
	// each place matters.
	depth bool
}

// PathSetOptions are the options of NewPathSet. The zero value is valid.
type PathSetOptions struct {
	// Times selects which times are facts. With TimesAuto, the time of an output is not
	// one if the process that asked for it replaced the output, as compilers do.
	Times Times
	// IgnoreFormerOutputs is as in [CheckOptions].
	IgnoreFormerOutputs bool
	// Places are the directories that may be elsewhere.
	Places Places
}

// ErrNoPathSet means that a manifest depends on something that a path set cannot have.
var ErrNoPathSet = errors.New("no path set")

// A question is a path and what matters of what is there.
type question struct {
	path  string // its form (Places)
	facts factSet
}

// factSet are the facts that matter besides the state, and the mode of a file or
// directory and the target of a symbolic link, which always do.
type factSet uint16

const (
	askContent factSet = 1 << iota
	askSize
	askMtime
	askOwner
	askLinks
	askNames
	askEmpty
)

// askWords are the facts as a document has them, in the order of the bits.
var askWords = [...]string{"content", "size", "mtime", "owner", "links", "names", "empty"}

// NewPathSet returns the path set of a manifest. It returns an error that wraps
// ErrIncomplete or ErrNoPathSet if there is none.
func NewPathSet(m *Manifest, o PathSetOptions) (*PathSet, error) {
	if !m.Complete() {
		return nil, fmt.Errorf("%w: %s: %s", ErrIncomplete, m.Incomplete[0].Reason, m.Incomplete[0].Detail)
	}
	p := &PathSet{places: o.Places}
	for i := range m.Forgotten {
		if f := &m.Forgotten[i]; f.Any || len(f.Filter) > 0 {
			return nil, fmt.Errorf("%w: too many temporary files in %s", ErrNoPathSet, events.Quote(f.Dir))
		}
	}
	p.eachFound(m, o, func(e *Entry, facts factSet) { p.add(e, facts) })
	slices.SortFunc(p.questions, func(a, b question) int { return strings.Compare(a.path, b.path) })
	for i := range m.Inputs {
		if e := &m.Inputs[i]; e.Shared {
			return nil, fmt.Errorf("%w: others may write to %s", ErrNoPathSet, events.Quote(e.Path))
		}
	}
	return p, nil
}

// Free returns the paths of the temporary files of a manifest's command, at which nothing
// may be. They are no part of the set, because their names mostly differ from run to run.
func (p *PathSet) Free(m *Manifest) []string {
	c := newComparison(m, CheckOptions{AsFound: true}, nil, nil)
	c.decide()
	var list []string
	for _, w := range c.wanted {
		if w.gone {
			list = append(list, w.Path)
		}
	}
	return list
}

// eachFound calls do for each entry that has to be as found.
func (p *PathSet) eachFound(m *Manifest, o PathSetOptions, do func(*Entry, factSet)) {
	c := newComparison(m, CheckOptions{AsFound: true, IgnoreFormerOutputs: o.IgnoreFormerOutputs}, nil, nil)
	c.decide()
	replaced := replacedByAsker(m)
	for _, w := range c.wanted {
		if w.gone {
			continue // Free has it
		}
		facts := factsOf(w.Entry, o.Times)
		if o.Times == TimesAuto && replaced[w.Path] {
			facts &^= askMtime
		}
		do(w.Entry, facts)
	}
}

// factsOf returns what check compares of an entry.
func factsOf(e *Entry, times Times) (f factSet) {
	set := func(fact factSet, matters bool) {
		if matters {
			f |= fact
		}
	}
	set(askContent, e.SHA256 != "")
	set(askSize, e.SHA256 == "" && e.Size != unset)
	set(askNames, e.Entries != "")
	set(askEmpty, e.NotEmpty)
	if times == TimesIgnore || !exists(e.State) || e.State == events.StateOther {
		return f
	}
	strict := times == TimesStrict
	set(askOwner, e.UID != unset || strict && e.Told.UID != unset)
	set(askLinks, e.Links != unset || strict && e.Told.Links != unset)
	set(askMtime, e.Mtime != unset || strict && e.Told.Mtime != unset)
	return f
}

// replacedByAsker returns the outputs that the process which asked for their time also
// replaced.
func replacedByAsker(m *Manifest) map[string]bool {
	list := make(map[string]bool)
	for i := range m.Outputs {
		out := &m.Outputs[i]
		if in := findEntry(m.Inputs, out.Path); in != nil && in.Mtime != unset && out.State == events.StateFile {
			list[out.Path] = false
		}
	}
	if len(list) == 0 {
		return nil
	}
	askers := make(map[string]int)
	for i := range m.Accesses {
		if a := &m.Accesses[i]; a.Op == events.OpStat {
			askers[a.Path] = a.Process
		}
	}
	for i := range m.Accesses {
		a := &m.Accesses[i]
		if _, ok := list[a.Path]; !ok || a.Op != events.OpWrite && a.Op != events.OpDelete {
			continue
		}
		asker, asked := askers[a.Path]
		list[a.Path] = asked && asker >= 0 && asker == a.Process
	}
	return list
}

// add adds what matters of an entry. A path above a place is there twice: the command may
// have found it from the place, upwards.
func (p *PathSet) add(e *Entry, facts factSet) {
	at, above := p.places.forms(e.Path)
	switch {
	case above == "":
	case e.State == events.StateDir && facts&^askOwner == 0 && p.places.isAbove(e.Path):
		return // a directory on the way to a place
	default:
		p.questions = append(p.questions, question{above, facts})
		p.depth = true
	}
	p.questions = append(p.questions, question{at, facts})
}

// Found returns what the command of a manifest found at the paths of the set. The options
// must be those of NewPathSet.
func (p *PathSet) Found(m *Manifest, o PathSetOptions) []byte {
	entries := make(map[string]*Entry, len(p.questions))
	p.eachFound(m, o, func(e *Entry, _ factSet) { entries[e.Path] = e })
	rows := p.newRows()
	for i := range p.questions {
		q := &p.questions[i]
		rows.add(q.path, p.keep(entries[p.absolute(q.path)], q.facts))
	}
	return rows.rows
}

// mostNamesKept is how many names of a directory are in a text, besides their hash, so
// that a difference can be explained.
const mostNamesKept = 1000

// keep returns what matters of an entry.
func (p *PathSet) keep(e *Entry, f factSet) *Entry {
	k := newEntry("", e.State)
	switch e.State {
	case events.StateAbsent:
		k.Error = e.Error
	case events.StateSymlink:
		k.Target = p.places.Form(e.Target)
	case events.StateFile, events.StateDir:
		k.Mode = e.Mode
	}
	if f&askContent != 0 {
		k.SHA256 = e.SHA256
	}
	if f&(askContent|askSize) != 0 {
		k.Size = e.Size
	}
	if f&askNames != 0 {
		if k.Entries = e.Entries; len(e.Names) <= mostNamesKept {
			k.Names = e.Names
		}
	}
	k.NotEmpty = f&askEmpty != 0 && e.NotEmpty
	if f&askMtime != 0 {
		k.Mtime = max(e.Mtime, e.Told.Mtime) // one of them is unset
	}
	if f&askLinks != 0 {
		k.Links = max(e.Links, e.Told.Links)
	}
	if f&askOwner != 0 {
		k.UID, k.GID = max(e.UID, e.Told.UID), max(e.GID, e.Told.GID)
	}
	return &k
}

// Look returns what is at the paths of the set now. An error means that something cannot
// be looked at. cache has hashes of unchanged files, and may be nil.
func (c *Checker) Look(p *PathSet, cache *Cache) ([]byte, error) {
	look := newComparison(&Manifest{}, CheckOptions{Cache: cache}, c.fs, nil)
	found := make([]Entry, len(p.questions))
	errs := make([]error, len(p.questions))
	parallel(len(p.questions), func(i int) {
		q := &p.questions[i]
		found[i], errs[i] = look.look(p.absolute(q.path), q.facts)
	})
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	rows := p.newRows()
	for i := range p.questions {
		q := &p.questions[i]
		rows.add(q.path, p.keep(&found[i], q.facts))
	}
	return rows.rows, nil
}

// look returns what is at a path now, as far as it matters.
func (c *comparison) look(path string, f factSet) (Entry, error) {
	id, err := c.fs.identify(path)
	info := &id.FileInfo
	e := newEntry(path, stateOf(info, err))
	switch e.State {
	case events.StateUnknown: // as in a directory that may not be searched
		return e, nil
	case events.StateAbsent:
		e.Error = lookupErrorOf(err).String()
		return e, nil
	case events.StateSymlink:
		e.Target, err = c.fs.readlink(path)
	case events.StateFile:
		e.Mode, e.Size = permissions(info.Mode), info.Size
		if f&askContent != 0 {
			var sum [sha256.Size]byte
			sum, err = c.sum(path, &id, info.Size)
			e.SHA256 = hex.EncodeToString(sum[:])
		}
	case events.StateDir:
		e.Mode = permissions(info.Mode)
		if f&(askNames|askEmpty) != 0 {
			var list dirList
			list, err = c.fs.readDir(path)
			names := slices.Clone(list.names)
			sortNames(names)
			e.Names, e.Entries, e.NotEmpty = names, hashNames(names), len(names) > 0
		}
	}
	if err != nil {
		return e, fmt.Errorf("%s: %w", path, err)
	}
	e.Mtime, e.Links, e.UID, e.GID = info.Mtime, int64(info.Nlink), int64(info.UID), int64(info.GID)
	return e, nil
}

// keyRows are the rows that Found and Look return.
type keyRows struct {
	m Manifest
	piece
}

func (p *PathSet) newRows() *keyRows {
	r := &keyRows{}
	if p.depth {
		for _, place := range p.places {
			r.rows = fmt.Appendf(r.rows, "%s%s %d", newRow, place.Name, strings.Count(place.Dir, "/"))
		}
	}
	return r
}

func (r *keyRows) add(form string, e *Entry) {
	e.Path = form
	r.m.addEntry(&r.piece, e)
}
