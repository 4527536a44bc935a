package manifest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/fstrace/fstrace/events"
)

// CheckOptions are the options of [Check]. The zero value asks whether everything is as
// the command left it.
type CheckOptions struct {
	// Cache has hashes of unchanged files; nil means that all files are hashed.
	Cache *Cache
	// AsFound asks whether everything is as the command found it, so that another run
	// would do the same. Otherwise Check asks whether everything is as the command left
	// it, so that there is nothing to run.
	AsFound bool
	// IgnoreFormerOutputs, with AsFound, ignores what was at the paths of the outputs
	// before, unless the command read it. Use it in a cache that restores outputs. It is
	// wrong for commands that behave differently if their output exists (mkdir lock, set
	// -C).
	IgnoreFormerOutputs bool
	// Times selects which times are compared.
	Times Times
	// Root, if not empty, replaces the root of the manifest, or the working directory of
	// the command if the manifest has no root: paths below that are looked up below Root.
	Root string
	// Refuse lists kinds of external sources. If the manifest has one of them, Check
	// returns [ErrExternal].
	Refuse []ExternalKind
	// AllowIncomplete compares an incomplete manifest instead of returning
	// [ErrIncomplete]. The result then says nothing about what is missing.
	AllowIncomplete bool
	// File is the file from which the manifest was read. Listings do not contain it.
	File string
}

// ErrIncomplete means that a manifest is incomplete, so no conclusion can be drawn from
// it.
var ErrIncomplete = errors.New("the manifest is incomplete")

// ErrExternal means that a command may have used an external source that
// [CheckOptions.Refuse] lists.
var ErrExternal = errors.New("the command may have used an external source")

// Check compares a manifest with the file system and returns the differences, sorted by
// path. If there are none, the manifest is valid.
//
// An error means that the question cannot be answered: [ErrIncomplete], [ErrExternal], or
// a path cannot be read. Then treat the manifest as stale.
func Check(m *Manifest, o CheckOptions) ([]Difference, error) {
	return check(m, o, newOSFS())
}

// A Checker checks several manifests and looks at each path once. It may miss changes
// that are made while it is in use. Its methods may be called concurrently.
type Checker struct{ fs *rememberingFS }

// NewChecker returns a Checker that has looked at no path yet.
func NewChecker() *Checker { return &Checker{newRememberingFS(newOSFS())} }

// Check is like the function [Check], but uses what the Checker already knows about
// paths.
func (c *Checker) Check(m *Manifest, o CheckOptions) ([]Difference, error) {
	return check(m, o, c.fs)
}

// CheckContext is like [Check], but stops when ctx is done and returns the cause.
func CheckContext(ctx context.Context, m *Manifest, o CheckOptions) ([]Difference, error) {
	list, err := check(m, o, contextFS{newOSFS(), ctx})
	if cause := context.Cause(ctx); cause != nil {
		return nil, cause
	}
	return list, err
}

func check(m *Manifest, o CheckOptions, fs fileSystem) ([]Difference, error) {
	return checkBeside(m, ancestors{}, o, fs)
}

// checkBeside is check of a manifest without inputs that are known to be as they were.
// passed is what may be above them.
func checkBeside(m *Manifest, passed ancestors, o CheckOptions, fs fileSystem) ([]Difference, error) {
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
	c.decide()
	c.findAbove(passed)
	var all []Difference
	failed := make(map[int]error)
	var mu sync.Mutex
	parallel(len(c.wanted)+len(c.above)+len(c.forgottenDirs), func(i int) {
		var list []Difference
		var err error
		switch dir, forgotten := i-len(c.wanted), i-len(c.wanted)-len(c.above); {
		case dir < 0:
			list, err = c.compare(c.wanted[i])
		case forgotten < 0:
			list = c.directory(c.above[dir])
		default:
			list, err = c.forgotten(&c.forgottenDirs[forgotten])
		}
		if len(list) > 0 || err != nil {
			mu.Lock()
			defer mu.Unlock()
			all = append(all, list...)
			failed[i] = err
		}
	})
	slices.SortFunc(all, func(a, b Difference) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Reason, b.Reason))
	})
	all = slices.CompactFunc(all, func(a, b Difference) bool { return a.Path == b.Path && a.Reason == b.Reason })
	if len(all) > 0 {
		return all, nil // stale, whatever else there may be
	}
	var errs []error
	for _, i := range slices.Sorted(maps.Keys(failed)) {
		errs = append(errs, failed[i])
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
	isGlance      bool // reads no file
}

// newComparison returns a comparison that has not decided what has to be how.
func newComparison(m *Manifest, o CheckOptions, fs fileSystem, p *patterns) *comparison {
	c := &comparison{
		m: m, o: o, fs: fs, patterns: &lockedPatterns{patterns: p},
		buffers: sync.Pool{New: func() any {
			b := make([]byte, bufferSize)
			return &b
		}},
	}
	if o.Root != "" {
		c.from, c.to = cmp.Or(m.Root, m.Cwd), o.Root
	}
	return c
}

// decide finds out what has to be how.
func (c *comparison) decide() {
	c.outputs, c.removed = make(map[string]*Entry, len(c.m.Outputs)), make(map[string]bool, len(c.m.Removed))
	c.changed, c.stirred = make(map[string][]string), make(map[string]bool)
	for i := range c.m.Outputs {
		c.outputs[c.m.Outputs[i].Path] = &c.m.Outputs[i]
	}
	for _, path := range c.m.Removed {
		c.removed[path] = true
	}
	if c.o.AsFound {
		c.asFound()
	} else {
		c.asLeft()
	}
	for _, path := range c.m.Temporary {
		c.stirred[parentOf(path)] = true
		if !c.isInMade(path) {
			c.want(path)
		}
	}
	c.findForgotten()
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
	}
	for i := range c.m.Outputs {
		e := &c.m.Outputs[i]
		c.wanted = append(c.wanted, wanted{Entry: e})
		change(e.Path)
		if !e.isChangedInPlace() {
			c.stirred[parentOf(e.Path)] = true
		}
	}
	for _, path := range c.m.Removed {
		c.want(path)
		change(path)
		c.stirred[parentOf(path)] = true
	}
}

// isChangedInPlace reports whether an output has been there before, and no operation
// made, removed or renamed it: the times of its directory are not the command's doing.
func (e *Entry) isChangedInPlace() bool {
	if e.Before != e.State || len(e.Ops) == 0 {
		return false
	}
	return !slices.ContainsFunc(e.Ops, func(op events.Op) bool {
		return op == events.OpCreate || op == events.OpDelete || op == events.OpRename
	})
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
func (c *comparison) findAbove(a ancestors) {
	for _, w := range c.wanted {
		a.add(w.Entry)
	}
	seen := make(map[string]bool, len(a.entries))
	for _, path := range a.entries {
		seen[path] = true
	}
	for _, path := range a.parents {
		for ; path != "/" && !seen[path]; path = parentOf(path) {
			seen[path] = true
			c.above = append(c.above, path)
		}
	}
}

// ancestors are what findAbove needs of entries. Most of them are files, of which only
// the directory counts, which is that of the last one.
type ancestors struct {
	parents []string // of what must be there
	entries []string // that are no files, so that something may be below them
}

func (a *ancestors) add(e *Entry) {
	if e.State != events.StateFile {
		a.entries = append(a.entries, e.Path)
	}
	if !exists(e.State) {
		return
	}
	parent := parentOf(e.Path)
	if n := len(a.parents); n == 0 || a.parents[n-1] != parent {
		a.parents = append(a.parents, parent)
	}
}

// clone has the strings in memory of their own.
func (a *ancestors) clone() {
	for _, list := range [...][]string{a.parents, a.entries} {
		for i := range list {
			list[i] = strings.Clone(list[i])
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
