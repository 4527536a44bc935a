package manifest

import (
	"hash/fnv"
	"slices"
)

// forgottenNames are the temporary names that a fold has forgotten in one directory:
// their number, and a filter that has each of them, and by chance some others.
type forgottenNames struct {
	count  int
	hashes []uint64 // of the names, as long as they are few
	bits   nameFilter
	any    bool // there was no room: each name may be one
}

const (
	mostHashes   = 1 << 12
	filterBytes  = 1 << 17 // of a filter, at most: 2^20 bits
	filterBudget = 16 << 20
	filterProbes = 4
	// bitsPerName is how many bits a filter has for each name, unless it is as large as
	// possible: of 1000 other names, 3 seem to be in it.
	bitsPerName = 16
)

// A nameFilter is a Bloom filter: a power of two of bits.
type nameFilter []byte

// hashName is a part of the format of the document: FNV-1a, and the finalizer of
// SplitMix64, because the bits of FNV's that differ between short names are few.
func hashName(name string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name)) // a hash returns no error
	x := h.Sum64()
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// probe returns the bit number i of a hash, in a filter of any size: a filter of half the
// size has it at the same place, modulo its size.
func (b nameFilter) probe(hash uint64, i int) (at int, bit byte) {
	n := (uint32(hash) + uint32(i)*(uint32(hash>>32)|1)) & uint32(len(b)*8-1)
	return int(n / 8), 1 << (n % 8)
}

func (b nameFilter) add(hash uint64) {
	if len(b) == 0 {
		return
	}
	for i := range filterProbes {
		at, bit := b.probe(hash, i)
		b[at] |= bit
	}
}

func (b nameFilter) has(hash uint64) bool {
	if len(b) == 0 {
		return false
	}
	for i := range filterProbes {
		if at, bit := b.probe(hash, i); b[at]&bit == 0 {
			return false
		}
	}
	return true
}

// has reports whether name may be one of the forgotten ones.
func (s *forgottenNames) has(name string) bool {
	if s.any {
		return true
	}
	h := hashName(name)
	return slices.Contains(s.hashes, h) || s.bits.has(h)
}

// filter returns the filter as the document has it: no larger than it has to be.
func (s *forgottenNames) filter() nameFilter {
	if s.any || len(s.hashes) == 0 {
		return s.bits
	}
	size := 8
	for size < filterBytes && size*8 < len(s.hashes)*bitsPerName {
		size *= 2
	}
	b := make(nameFilter, size)
	for _, h := range s.hashes {
		b.add(h)
	}
	return b
}

// of returns what was forgotten in dir.
func (q *forgetter) of(dir *origin) *forgottenNames {
	s := q.names[dir]
	if s == nil {
		s = &forgottenNames{}
		q.names[dir] = s
	}
	return s
}

func (q *forgetter) add(s *forgottenNames, hash uint64) {
	switch {
	case s.any:
	case s.bits != nil:
		s.bits.add(hash)
	case len(s.hashes) < mostHashes && q.take(8):
		s.hashes = append(s.hashes, hash)
	default:
		q.toBits(s)
		s.bits.add(hash)
	}
}

// take reports whether there is room for so many bytes more.
func (q *forgetter) take(bytes int) bool {
	if q.budget < bytes {
		return false
	}
	q.budget -= bytes
	return true
}

// toBits makes a filter of the hashes, or gives up if there is no room.
func (q *forgetter) toBits(s *forgottenNames) {
	if s.any || s.bits != nil {
		return
	}
	if !q.take(filterBytes) {
		q.giveUp(s)
		return
	}
	s.bits = make(nameFilter, filterBytes)
	for _, h := range s.hashes {
		s.bits.add(h)
	}
	q.budget += 8 * len(s.hashes)
	s.hashes = nil
}

// giveUp drops the filter: each name may be one then.
func (q *forgetter) giveUp(s *forgottenNames) {
	q.budget += 8*len(s.hashes) + len(s.bits)
	s.hashes, s.bits, s.any = nil, nil, true
}

// drop forgets what was forgotten in dir.
func (q *forgetter) drop(dir *origin) {
	q.giveUp(q.names[dir])
	delete(q.names, dir)
}

// merge adds what t has.
func (s *forgottenNames) merge(t *forgottenNames, q *forgetter) {
	if s == t {
		return
	}
	s.count += t.count
	for _, h := range t.hashes {
		q.add(s, h)
	}
	switch {
	case t.any:
		q.giveUp(s)
	case t.bits != nil:
		q.toBits(s) // of the same size
		for i := range s.bits {
			s.bits[i] |= t.bits[i]
		}
	}
}

// tellForgotten puts what was forgotten into the manifest. A name that is there now, and
// of which the manifest says nothing else, is an exception if it was there before the
// session: it is in the filter by chance.
func (x *outcome) tellForgotten() {
	for dir, s := range x.fold.forgotten.names {
		t := Forgotten{Dir: dir.path(), Count: int64(s.count), Filter: s.filter(), Any: s.any}
		if t.Filter == nil && !t.Any {
			x.m.Forgotten = append(x.m.Forgotten, t)
			continue
		}
		list, err := x.fs.readDir(t.Dir)
		if err != nil && !isAbsent(err) {
			x.changed(t.Dir, "list: "+err.Error())
		}
		for _, typed := range list.names {
			name := nameOf(typed)
			path := join(t.Dir, name)
			if !t.has(name) || !x.reports(t.Dir, name) || path == x.m.Record || x.outputs[path] != nil {
				continue
			}
			if o := x.known(path); o != nil && o.isInput() {
				continue
			}
			info, err := x.fs.lstat(path)
			switch {
			case isAbsent(err):
				continue
			case err != nil, !isOlder(&info, x.begin):
				x.changed(path, "somebody else made it, or changed it, and the command may have made and removed something of that name")
			}
			t.Except = append(t.Except, name)
		}
		x.m.Forgotten = append(x.m.Forgotten, t)
	}
}

// has reports whether name may have been a temporary one.
func (t *Forgotten) has(name string) bool { return t.Any || nameFilter(t.Filter).has(hashName(name)) }

// A forgottenDir is a directory of a manifest in which temporary names were forgotten.
type forgottenDir struct {
	*Forgotten
	except map[string]bool // names of which there is an entry, or that were there
}

const forgottenDetail = "the command made and removed something of this name"

// forgotten compares a directory in which temporary names were forgotten: none of them
// may be there.
func (c *comparison) forgotten(d *forgottenDir) (list []Difference, err error) {
	dir := c.here(d.Dir)
	now, err := c.fs.readDir(dir)
	if err != nil {
		if isAbsent(err) {
			return nil, nil
		}
		return nil, err
	}
	for _, typed := range now.names {
		name := nameOf(typed)
		path := join(d.Dir, name)
		if d.has(name) && !d.except[name] && path != c.m.Record && join(dir, name) != c.o.File && c.patterns.reports(path) {
			list = append(list, differ(Appeared, path, forgottenDetail)...)
		}
	}
	return list, nil
}

// findForgotten finds the directories in which temporary names were forgotten, and the
// names in them that are compared by themselves.
func (c *comparison) findForgotten() {
	for i := range c.m.Forgotten {
		t := &c.m.Forgotten[i]
		c.stirred[t.Dir] = true
		if !t.Any && len(t.Filter) == 0 || c.isInMade(join(t.Dir, "x")) {
			continue
		}
		d := forgottenDir{t, make(map[string]bool, len(t.Except))}
		for _, name := range t.Except {
			d.except[name] = true
		}
		c.forgottenDirs = append(c.forgottenDirs, d)
	}
	if len(c.forgottenDirs) == 0 {
		return
	}
	byDir := make(map[string]map[string]bool, len(c.forgottenDirs))
	for _, d := range c.forgottenDirs {
		byDir[d.Dir] = d.except
	}
	for _, entries := range [...][]Entry{c.m.Inputs, c.m.Outputs} {
		for i := range entries {
			if path := entries[i].Path; path != "/" {
				if names := byDir[parentOf(path)]; names != nil {
					names[baseOf(path)] = true
				}
			}
		}
	}
}
