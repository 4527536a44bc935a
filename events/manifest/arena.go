package manifest

import "iter"

// A slab holds values that stay as long as it does, in blocks. A value of its own would
// take up to the next size of the allocator, and for the garbage collector be one
// object more to mark.
type slab[T any] struct{ blocks [][]T }

const slabBlock = 256

// add puts a value in, and returns where it is from now on.
func (s *slab[T]) add(v T) *T {
	last := len(s.blocks) - 1
	if last < 0 || len(s.blocks[last]) == slabBlock {
		s.blocks = append(s.blocks, make([]T, 0, slabBlock))
		last++
	}
	s.blocks[last] = append(s.blocks[last], v)
	return &s.blocks[last][len(s.blocks[last])-1]
}

func (s *slab[T]) len() int {
	if len(s.blocks) == 0 {
		return 0
	}
	last := len(s.blocks) - 1
	return last*slabBlock + len(s.blocks[last])
}

// at returns the value that was added after i others.
func (s *slab[T]) at(i int) *T { return &s.blocks[i/slabBlock][i%slabBlock] }

// all yields the values in the order in which they were added.
func (s *slab[T]) all() iter.Seq[*T] {
	return func(yield func(*T) bool) {
		for _, block := range s.blocks {
			for i := range block {
				if !yield(&block[i]) {
					return
				}
			}
		}
	}
}
