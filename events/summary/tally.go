package summary

import (
	"cmp"
	"hash/maphash"
	"slices"
)

// A tally counts paths, by their hashes. Two paths with the same hash, of 64 bits, count
// as one.
type tally struct {
	seed   maphash.Seed
	counts map[uint64]int
	paths  map[uint64]string // nil if they are not kept
}

func (t *tally) begin(keep bool) {
	t.seed, t.counts = maphash.MakeSeed(), make(map[uint64]int)
	if keep {
		t.paths = make(map[uint64]string)
	}
}

func (t *tally) add(path string) {
	key := maphash.String(t.seed, path)
	if t.counts[key]++; t.counts[key] == 1 && t.paths != nil {
		t.paths[key] = path
	}
}

// most returns the n paths with the highest counts.
func (t *tally) most(n int) []PathCount {
	list := make([]PathCount, 0, len(t.paths))
	for key, path := range t.paths {
		list = append(list, PathCount{path, t.counts[key]})
	}
	slices.SortFunc(list, func(a, b PathCount) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Path, b.Path))
	})
	return list[:min(n, len(list))]
}
