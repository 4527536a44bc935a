package manifest

import (
	"cmp"
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
	// Root, if not empty, stands for the manifest's root, or for the command's
	// working directory if it has none: what was below that is looked for here.
	Root string
	// InputsOnly leaves the outputs out. What the command itself changed may then
	// be as before or as after.
	InputsOnly bool
	// AllowIncomplete has a manifest compared that may miss something.
	AllowIncomplete bool
	// File is where the manifest was read from: no listing counts it.
	File string
}

// ErrIncomplete says that a manifest may miss something: whatever holds of what it
// has, nothing follows.
var ErrIncomplete = errors.New("the manifest is incomplete")

// Check compares a manifest with the file system and returns what is different,
// sorted by path: nothing, if the command need not run again. The error says that
// it cannot be told.
func Check(m *Manifest, o CheckOptions) ([]Difference, error) {
	return check(m, o, osFS{})
}

func check(m *Manifest, o CheckOptions, fs fileSystem) ([]Difference, error) {
	if !m.Complete() && !o.AllowIncomplete {
		g := m.Incomplete[0]
		return nil, fmt.Errorf("%w: %s: %s", ErrIncomplete, g.Reason, g.Detail)
	}
	p, err := newPatterns(m.Only, m.Ignore)
	if err != nil {
		return nil, err
	}
	c := newComparison(m, o, fs, p)
	results := make([][]Difference, len(m.Inputs)+len(m.Outputs)+len(m.Removed)+len(c.above))
	errs := make([]error, len(results))
	parallel(len(results), func(i int) {
		results[i], errs[i] = c.nth(i)
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

// A comparison is one check.
type comparison struct {
	m        *Manifest
	o        CheckOptions
	fs       fileSystem
	patterns *lockedPatterns
	from, to string // the root, and what stands for it
	outputs  map[string]*Entry
	removed  map[string]bool
	changed  map[string][]string // by directory: the names that the command made or removed
	above    []string            // directories above what must be there
	buffers  sync.Pool
}

func newComparison(m *Manifest, o CheckOptions, fs fileSystem, p *patterns) *comparison {
	c := &comparison{
		m: m, o: o, fs: fs, patterns: &lockedPatterns{patterns: p},
		outputs: make(map[string]*Entry, len(m.Outputs)), removed: make(map[string]bool, len(m.Removed)),
		changed: make(map[string][]string),
		buffers: sync.Pool{New: func() any {
			b := make([]byte, bufferSize)
			return &b
		}},
	}
	if o.Root != "" {
		c.from, c.to = cmp.Or(m.Root, m.Cwd), o.Root
	}
	for i := range m.Outputs {
		e := &m.Outputs[i]
		c.outputs[e.Path] = e
		c.changed[parentOf(e.Path)] = append(c.changed[parentOf(e.Path)], baseOf(e.Path))
	}
	for _, path := range m.Removed {
		c.removed[path] = true
		c.changed[parentOf(path)] = append(c.changed[parentOf(path)], baseOf(path))
	}
	c.findAbove(m.Inputs)
	if !o.InputsOnly {
		c.findAbove(m.Outputs)
	}
	return c
}

// findAbove adds the directories above entries. None of them was a symbolic link:
// the kernel's way led through no other link than those that are inputs. One that the
// command itself put there in a directory's place is an output.
func (c *comparison) findAbove(entries []Entry) {
	seen := make(map[string]bool)
	for _, path := range c.above {
		seen[path] = true
	}
	for i := range entries {
		if !exists(entries[i].State) {
			continue
		}
		for path := parentOf(entries[i].Path); path != "/" && !seen[path]; path = parentOf(path) {
			seen[path] = true
			if out := c.outputs[path]; out == nil || out.State != events.StateSymlink {
				c.above = append(c.above, path)
			}
		}
	}
}

// nth does a part of the check.
func (c *comparison) nth(i int) ([]Difference, error) {
	m := c.m
	if i < len(m.Inputs) {
		return c.input(&m.Inputs[i])
	}
	if i -= len(m.Inputs); i < len(m.Outputs) {
		if c.o.InputsOnly {
			return nil, nil
		}
		return c.compare(&m.Outputs[i])
	}
	if i -= len(m.Outputs); i < len(m.Removed) {
		if c.o.InputsOnly {
			return nil, nil
		}
		return c.compare(&Entry{Path: m.Removed[i], State: events.StateAbsent})
	}
	path := c.above[i-len(m.Removed)]
	info, err := c.fs.lstat(c.here(path))
	if s := stateOf(&info, err); s == events.StateSymlink {
		return differ(TypeChanged, path, "was a directory, is a symbolic link"), nil
	}
	return nil, nil
}

// input compares an input. What the command itself changed has to be as it left
// it; of the inputs alone, as it found it or as it left it.
func (c *comparison) input(e *Entry) ([]Difference, error) {
	out := c.outputs[e.Path]
	ours := out != nil || c.underRemoved(e.Path)
	if ours && !c.o.InputsOnly {
		return nil, nil
	}
	list, err := c.compare(e)
	if !ours || len(list) == 0 {
		return list, err
	}
	if out == nil {
		out = &Entry{Path: e.Path, State: events.StateAbsent}
	}
	if after, err := c.compare(out); err == nil && len(after) == 0 {
		return nil, nil
	}
	return list, err
}

// underRemoved tells whether path, or a directory above it, was removed.
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
