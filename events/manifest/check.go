package manifest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/fstrace/fstrace/events"
)

// CheckOptions of [Check].
type CheckOptions struct {
	// Cache spares hashing; nil for none.
	Cache *Cache
	// AsFound asks whether everything is as the command found it, so that a run would do
	// the same. Otherwise Check asks whether everything is as the command left it, so
	// that there is nothing to run.
	AsFound bool
	// IgnoreFormerOutputs, with AsFound, leaves out what stood where the command's
	// outputs are, if the command did not read it: a cache that restores outputs does
	// not mind the former ones. A command that takes another way when its output is
	// there already (mkdir lock, set -C) is not told apart then.
	IgnoreFormerOutputs bool
	// Times says which times count.
	Times Times
	// Root, if not empty, stands for the manifest's root, or for the command's
	// working directory if it has none: what was below that is looked for here.
	Root string
	// Refuse lists the external sources that a manifest may not have: if it has one, Check
	// returns an error that is [ErrExternal].
	Refuse []ExternalKind
	// AllowIncomplete has a manifest compared that may miss something.
	AllowIncomplete bool
	// File is where the manifest was read from: no listing counts it.
	File string
}

// ErrIncomplete says that a manifest may miss something: whatever holds of what it
// has, nothing follows.
var ErrIncomplete = errors.New("the manifest is incomplete")

// ErrExternal says that a command may have heard from outside the file system.
var ErrExternal = errors.New("the command may have heard from outside the file system")

// Check compares a manifest with the file system and returns what is different,
// sorted by path: nothing, if the command need not run again. The error says that
// it cannot be told.
func Check(m *Manifest, o CheckOptions) ([]Difference, error) {
	return check(m, o, newOSFS())
}

// A Checker checks several manifests in one pass: it looks at each path once. What
// changes meanwhile may or may not be seen. Its methods may be called concurrently.
type Checker struct{ fs *rememberingFS }

// NewChecker returns a checker that has looked at nothing yet.
func NewChecker() *Checker { return &Checker{newRememberingFS(newOSFS())} }

// Check is [Check].
func (c *Checker) Check(m *Manifest, o CheckOptions) ([]Difference, error) {
	return check(m, o, c.fs)
}

// CheckContext is [Check] that stops early, with the context's error, when ctx is done.
func CheckContext(ctx context.Context, m *Manifest, o CheckOptions) ([]Difference, error) {
	list, err := check(m, o, contextFS{newOSFS(), ctx})
	if cause := context.Cause(ctx); cause != nil {
		return nil, cause
	}
	return list, err
}

func check(m *Manifest, o CheckOptions, fs fileSystem) ([]Difference, error) {
	if !m.Complete() && !o.AllowIncomplete {
		g := m.Incomplete[0]
		return nil, fmt.Errorf("%w: %s: %s", ErrIncomplete, g.Reason, g.Detail)
	}
	if len(o.Refuse) > 0 && m.Surroundings == nil {
		return nil, fmt.Errorf("%w: the manifest does not say what it started with", ErrExternal)
	}
	for i := range m.External {
		if x := &m.External[i]; slices.Contains(o.Refuse, x.Kind) {
			return nil, fmt.Errorf("%w: %s", ErrExternal, x)
		}
	}
	p, err := newPatterns(m.Only, m.Ignore)
	if err != nil {
		return nil, err
	}
	c := newComparison(m, o, fs, p)
	results := make([][]Difference, len(c.wanted)+len(c.above)+len(c.forgottenDirs))
	errs := make([]error, len(results))
	parallel(len(results), func(i int) {
		switch dir, forgotten := i-len(c.wanted), i-len(c.wanted)-len(c.above); {
		case dir < 0:
			results[i], errs[i] = c.compare(c.wanted[i])
		case forgotten < 0:
			results[i] = c.directory(c.above[dir])
		default:
			results[i], errs[i] = c.forgotten(&c.forgottenDirs[forgotten])
		}
	})
	all := slices.Concat(results...)
	slices.SortFunc(all, func(a, b Difference) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Reason, b.Reason))
	})
	all = slices.CompactFunc(all, func(a, b Difference) bool { return a.Path == b.Path && a.Reason == b.Reason })
	if len(all) > 0 {
		return all, nil // stale, whatever else there may be
	}
	return nil, errors.Join(errs...)
}

// A wanted is an entry that has to be so. If it is absent and gone is set, it does not
// matter whether a component on its way is a directory.
type wanted struct {
	*Entry
	gone bool
}

// A comparison is one check.
type comparison struct {
	m             *Manifest
	o             CheckOptions
	fs            fileSystem
	patterns      *lockedPatterns
	from, to      string // the root, and what stands for it
	outputs       map[string]*Entry
	removed       map[string]bool
	wanted        []wanted            // what has to be so
	changed       map[string][]string // by directory, as left: the names that the command made or removed
	stirred       map[string]bool     // directories in which the command made or removed names
	above         []string            // directories above what must be there
	forgottenDirs []forgottenDir
	buffers       sync.Pool
}

func newComparison(m *Manifest, o CheckOptions, fs fileSystem, p *patterns) *comparison {
	c := &comparison{
		m: m, o: o, fs: fs, patterns: &lockedPatterns{patterns: p},
		outputs: make(map[string]*Entry, len(m.Outputs)), removed: make(map[string]bool, len(m.Removed)),
		changed: make(map[string][]string), stirred: make(map[string]bool),
		buffers: sync.Pool{New: func() any {
			b := make([]byte, bufferSize)
			return &b
		}},
	}
	if o.Root != "" {
		c.from, c.to = cmp.Or(m.Root, m.Cwd), o.Root
	}
	for i := range m.Outputs {
		c.outputs[m.Outputs[i].Path] = &m.Outputs[i]
	}
	for _, path := range m.Removed {
		c.removed[path] = true
	}
	if o.AsFound {
		c.asFound()
	} else {
		c.asLeft()
	}
	for _, path := range m.Temporary {
		c.stirred[parentOf(path)] = true
		if !c.isInMade(path) {
			c.want(path)
		}
	}
	c.findForgotten()
	c.findAbove()
	return c
}

// asFound wants every input as it was before the session.
func (c *comparison) asFound() {
	for i := range c.m.Inputs {
		e := &c.m.Inputs[i]
		isFormer := c.outputs[e.Path] != nil && !e.isRead()
		if !isFormer || !c.o.IgnoreFormerOutputs {
			c.wanted = append(c.wanted, wanted{Entry: e})
		}
	}
}

// asLeft wants everything as it was after the session: what the command changed as it
// left it, everything else as it found it.
func (c *comparison) asLeft() {
	for i := range c.m.Inputs {
		e := &c.m.Inputs[i]
		if c.outputs[e.Path] != nil || c.underRemoved(e.Path) {
			continue
		}
		switch above := c.outputAbove(e.Path); {
		case above == nil:
			c.wanted = append(c.wanted, wanted{Entry: e})
		case above.State == events.StateDir:
			c.wanted = append(c.wanted, wanted{e, true})
		default: // the path leads elsewhere now, or nowhere
		}
	}
	change := func(path string) {
		c.changed[parentOf(path)] = append(c.changed[parentOf(path)], baseOf(path))
		c.stirred[parentOf(path)] = true
	}
	for i := range c.m.Outputs {
		e := &c.m.Outputs[i]
		c.wanted = append(c.wanted, wanted{Entry: e})
		change(e.Path)
	}
	for _, path := range c.m.Removed {
		c.want(path)
		change(path)
	}
}

// outputAbove returns the nearest output above path of which the command changed the
// type, or that is not a directory; nil if there is none.
func (c *comparison) outputAbove(path string) *Entry {
	for path != "/" {
		path = parentOf(path)
		if out := c.outputs[path]; out != nil && (out.State != events.StateDir || out.Before != events.StateDir) {
			return out
		}
	}
	return nil
}

// want adds a path at which nothing may be.
func (c *comparison) want(absent string) {
	e := newEntry(absent, events.StateAbsent)
	c.wanted = append(c.wanted, wanted{&e, true})
}

// isInMade reports whether path is in a directory that the command made.
func (c *comparison) isInMade(path string) bool {
	for path != "/" {
		path = parentOf(path)
		if out := c.outputs[path]; out != nil {
			return !exists(out.Before)
		}
	}
	return false
}

// findAbove finds the directories above what must be there of which no entry says so:
// the patterns left them out. None of them was a symbolic link.
func (c *comparison) findAbove() {
	seen := make(map[string]bool, len(c.wanted))
	for _, e := range c.wanted {
		seen[e.Path] = true
	}
	for _, e := range c.wanted {
		if !exists(e.State) {
			continue
		}
		for path := parentOf(e.Path); path != "/" && !seen[path]; path = parentOf(path) {
			seen[path] = true
			c.above = append(c.above, path)
		}
	}
}

// directory compares a directory above something.
func (c *comparison) directory(path string) []Difference {
	info, err := c.fs.lstat(c.here(path))
	if s := stateOf(&info, err); s == events.StateSymlink {
		return differ(TypeChanged, path, "was a directory, is a symbolic link")
	}
	return nil
}

// underRemoved reports whether path, or a directory above it, was removed.
func (c *comparison) underRemoved(path string) bool {
	if len(c.removed) == 0 {
		return false
	}
	for ; path != "/"; path = parentOf(path) {
		if c.removed[path] {
			return true
		}
	}
	return false
}

// here is the path that stands for one of the manifest.
func (c *comparison) here(path string) string {
	if c.to == "" || !isWithin(path, c.from) {
		return path
	}
	return strings.TrimSuffix(c.to, "/") + path[len(strings.TrimSuffix(c.from, "/")):]
}
