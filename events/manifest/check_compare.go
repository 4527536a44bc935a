package manifest

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/fstrace/fstrace/events"
)

// compare compares one entry with what is there.
func (c *comparison) compare(w wanted) ([]Difference, error) {
	path := c.here(w.Path)
	id, err := c.fs.identify(path)
	return c.compareWith(w, path, &id, err)
}

// compareWith compares one entry with what a look at its path has given.
func (c *comparison) compareWith(w wanted, path string, id *identity, err error) ([]Difference, error) {
	e, info := w.Entry, id.FileInfo
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
	switch s {
	case events.StateAbsent:
		if now := lookupErrorOf(err).String(); !w.gone && now != e.Error {
			return differ(TypeChanged, e.Path, fmt.Sprintf("absent by %s, by %s now", cmp.Or(e.Error, "ENOENT"), cmp.Or(now, "ENOENT"))), nil
		}
		return nil, nil
	case events.StateSymlink:
		target, err := c.fs.readlink(path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if target != e.Target && target != c.here(e.Target) {
			return differ(SymlinkChanged, e.Path, fmt.Sprintf("%s -> %s", events.Quote(e.Target), events.Quote(target))), nil
		}
		return c.attributes(e, &info), nil
	}
	var list []Difference
	switch s {
	case events.StateFile:
		list, err = c.file(e, path, id)
	case events.StateDir:
		list, err = c.listing(e, path)
	default: // a device, or what cannot be looked at
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if (s == events.StateFile || s == events.StateDir) && permissions(info.Mode) != e.Mode {
		list = append(list, differ(ModeChanged, e.Path, formatMode(e.Mode)+" -> "+formatMode(permissions(info.Mode)))...)
	}
	return append(list, c.attributes(e, &info)...), nil
}

// attributes compares what else stat(2) returned, as far as the policy requires it.
func (c *comparison) attributes(e *Entry, info *events.FileInfo) (list []Difference) {
	if c.o.Times == TimesIgnore {
		return nil
	}
	uid, gid := e.UID, e.GID
	if c.o.Times == TimesStrict && uid == unset {
		uid, gid = e.Told.UID, e.Told.GID
	}
	if uid != unset && (uid != int64(info.UID) || gid != int64(info.GID)) {
		list = differ(OwnerChanged, e.Path, fmt.Sprintf("%d:%d -> %d:%d", uid, gid, info.UID, info.GID))
	}
	links, mtime := e.Links, e.Mtime
	if c.o.Times == TimesStrict && !(e.State == events.StateDir && c.isStirred(e.Path)) {
		links, mtime = max(links, e.Told.Links), max(mtime, e.Told.Mtime) // one of them is unset
	}
	switch {
	case mtime != unset && mtime != info.Mtime:
		list = append(list, differ(MetadataChanged, e.Path, "time")...)
	case links != unset && links != int64(info.Nlink):
		list = append(list, differ(MetadataChanged, e.Path, fmt.Sprintf("links: %d -> %d", links, info.Nlink))...)
	}
	return list
}

// isStirred reports whether the times of a directory are not as the command found them
// because of the command itself, or of the manifest.
func (c *comparison) isStirred(dir string) bool {
	return !c.o.AsFound && c.stirred[dir] || c.m.Record != "" && parentOf(c.m.Record) == dir ||
		c.o.File != "" && parentOf(c.o.File) == c.here(dir)
}

// file compares what a file holds, or its size.
func (c *comparison) file(e *Entry, path string, info *identity) ([]Difference, error) {
	if e.SHA256 == "" {
		if e.Size != unset && e.Size != info.Size {
			return differ(MetadataChanged, e.Path, fmt.Sprintf("size: %d -> %d", e.Size, info.Size)), nil
		}
		return nil, nil
	}
	if e.Size != info.Size && !(e.Shared && info.Size > e.Size) {
		return differ(ContentChanged, e.Path, ""), nil
	}
	sum, err := c.sum(path, info, e.Size)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var digits [2 * len(sum)]byte
	if hex.Encode(digits[:], sum[:]); string(digits[:]) != e.SHA256 {
		return differ(ContentChanged, e.Path, ""), nil
	}
	return nil, nil
}

// errNotCached says that a file would have to be read.
var errNotCached = errors.New("its hash is not in the cache")

// sum returns the hash of the first size bytes of the file at path, which id is of.
func (c *comparison) sum(path string, id *identity, size int64) ([32]byte, error) {
	isWhole := size >= id.Size
	if isWhole {
		if sum, ok := c.o.Cache.get(id); ok {
			return sum, nil
		}
	}
	memory, remembers := c.fs.(*rememberingFS)
	switch {
	case c.isGlance:
		return [32]byte{}, errNotCached
	case isWhole && remembers:
		return memory.hashed(path, func(path string) ([32]byte, error) { return c.hash(path, id) })
	case isWhole:
		return c.hash(path, id)
	}
	buf, _ := c.buffers.Get().(*[]byte)
	defer c.buffers.Put(buf)
	return hashPrefix(c.fs, path, size, *buf)
}

// hash reads the file at path, and puts its hash into the cache.
func (c *comparison) hash(path string, id *identity) ([32]byte, error) {
	buf, _ := c.buffers.Get().(*[]byte)
	defer c.buffers.Put(buf)
	start := time.Now()
	sum, read, err := hashFile(c.fs, path, *buf)
	if err == nil && !isRacy(&read, start) && isSame(&read, &id.FileInfo) {
		c.o.Cache.put(&identity{read, id.mount}, sum)
	}
	return sum, err
}

// listing compares the names in a directory, if they matter. As left, those that the
// command itself made or removed in what it found are entries of their own.
func (c *comparison) listing(e *Entry, path string) ([]Difference, error) {
	if e.Entries == "" && !e.NotEmpty {
		return nil, nil
	}
	now, err := c.fs.readDir(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if e.NotEmpty {
		if len(now.names) == 0 {
			return differ(ListingChanged, e.Path, "is empty"), nil
		}
		return nil, nil
	}
	drop := make(map[string]bool)
	others := make(map[string]string)
	if c.outputs[e.Path] != e {
		for _, name := range c.changed[e.Path] {
			drop[name] = true
		}
	}
	for _, typed := range e.Names {
		if name := nameOf(typed); drop[name] {
			others[name] = typed
		}
	}
	names := adjust(now.names, func(name string) bool {
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
