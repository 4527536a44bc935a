package manifest

import (
	"encoding/hex"
	"fmt"
	"time"

	"github.com/fstrace/fstrace/events"
)

// compare compares one entry with what is there.
func (c *comparison) compare(e *Entry) ([]Difference, error) {
	path := c.here(e.Path)
	info, err := c.fs.lstat(path)
	s := stateOf(&info, err)
	switch {
	case s == events.StateUnknown && e.State != events.StateUnknown:
		return nil, fmt.Errorf("%s: %w", path, err)
	case s != e.State && s == events.StateAbsent:
		return differ(Vanished, e.Path, ""), nil
	case s != e.State && e.State == events.StateAbsent:
		return differ(Appeared, e.Path, ""), nil
	case s != e.State:
		return differ(TypeChanged, e.Path, "was "+e.State.String()+", is "+s.String()), nil
	}
	var list []Difference
	switch s {
	case events.StateFile:
		if list, err = c.file(e, path, &info); err != nil {
			return nil, err
		}
	case events.StateSymlink:
		target, err := c.fs.readlink(path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if target != e.Target && target != c.here(e.Target) {
			return differ(SymlinkChanged, e.Path, fmt.Sprintf("%s -> %s", Quote(e.Target), Quote(target))), nil
		}
		return nil, nil
	case events.StateDir:
		if e.Entries != "" {
			if list, err = c.listing(e, path); err != nil {
				return nil, err
			}
		}
	}
	if (s == events.StateFile || s == events.StateDir) && permissions(info.Mode) != e.Mode {
		list = append(list, differ(ModeChanged, e.Path, formatMode(e.Mode)+" -> "+formatMode(permissions(info.Mode)))...)
	}
	return list, nil
}

// file compares what a file holds, or what else is known of it.
func (c *comparison) file(e *Entry, path string, info *events.FileInfo) ([]Difference, error) {
	if e.SHA256 == "" {
		if e.Size != unset && e.Size != info.Size || e.Mtime != unset && e.Mtime != info.Mtime {
			return differ(MetadataChanged, e.Path, ""), nil
		}
		return nil, nil
	}
	if e.Size != info.Size {
		return differ(ContentChanged, e.Path, ""), nil
	}
	sum, err := c.sum(path, info)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var want [32]byte
	if n, err := hex.Decode(want[:], []byte(e.SHA256)); err != nil || n != len(want) || want != sum {
		return differ(ContentChanged, e.Path, ""), nil
	}
	return nil, nil
}

// sum returns the hash of the file at path, which info is of.
func (c *comparison) sum(path string, info *events.FileInfo) ([32]byte, error) {
	if sum, ok := c.o.Cache.get(info); ok {
		return sum, nil
	}
	buf, _ := c.buffers.Get().(*[]byte)
	defer c.buffers.Put(buf)
	start := time.Now()
	sum, read, err := hashFile(c.fs, path, *buf)
	if err == nil && !isRacy(&read, start) {
		c.o.Cache.put(&read, sum)
	}
	return sum, err
}

// listing compares the names in a directory, but for those that the command itself
// made or removed.
func (c *comparison) listing(e *Entry, path string) ([]Difference, error) {
	now, err := c.fs.readDir(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	drop := make(map[string]bool)
	others := make(map[string]string)
	for _, name := range c.changed[e.Path] {
		drop[name] = true
	}
	for _, typed := range e.Names {
		if name := nameOf(typed); drop[name] {
			others[name] = typed
		}
	}
	names := adjust(now, func(name string) bool {
		was := join(e.Path, name)
		return drop[name] || was == c.m.Record || join(path, name) == c.o.File || !c.patterns.reports(was)
	}, others)
	if hashNames(names) == e.Entries {
		return nil, nil
	}
	d := Difference{Reason: ListingChanged, Path: e.Path}
	d.Added, d.Gone = differences(e.Names, names)
	return []Difference{d}, nil
}
