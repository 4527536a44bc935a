package manifest

import "iter"

// An arena holds values that stay as long as it does, in blocks. A value of its own would
// take up to the next size of the allocator, and for the garbage collector be one
// object more to mark.
type arena[T any] struct{ blocks [][]T }

const arenaBlock = 256

// add puts a value in, and returns where it is from now on.
func (a *arena[T]) add(v T) *T {
	last := len(a.blocks) - 1
	if last < 0 || len(a.blocks[last]) == arenaBlock {
		a.blocks = append(a.blocks, make([]T, 0, arenaBlock))
		last++
	}
	a.blocks[last] = append(a.blocks[last], v)
	return &a.blocks[last][len(a.blocks[last])-1]
}

func (a *arena[T]) len() int {
	if len(a.blocks) == 0 {
		return 0
	}
	last := len(a.blocks) - 1
	return last*arenaBlock + len(a.blocks[last])
}

// at returns the value that was added after i others.
func (a *arena[T]) at(i int) *T { return &a.blocks[i/arenaBlock][i%arenaBlock] }

// all yields the values in the order in which they were added.
func (a *arena[T]) all() iter.Seq[*T] {
	return func(yield func(*T) bool) {
		for _, block := range a.blocks {
			for i := range block {
				if !yield(&block[i]) {
					return
				}
			}
		}
	}
}
