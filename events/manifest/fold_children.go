package manifest

import (
	"hash/maphash"
	"slices"
	"strings"
)

// children are the paths directly below one, in the order in which they were first
// named, and a hash table of them: Go's maps would take three times as much.
type children struct {
	list []*origin
	// slots has indices into list, plus one, where the hash of the name says or in the
	// next slot that was free; 0 is free. There are none as long as list is short.
	slots []uint32
}

const shortList = 8

var hashSeed = maphash.MakeSeed()

// find returns the child with that name, nil if there is none.
func (c *children) find(name string) *origin {
	if c.slots == nil {
		for _, o := range c.list {
			if o.name == name {
				return o
			}
		}
		return nil
	}
	for at := c.first(name); c.slots[at] != 0; at = c.next(at) {
		if o := c.list[c.slots[at]-1]; o.name == name {
			return o
		}
	}
	return nil
}

// add adds a child whose name none of them has.
func (c *children) add(o *origin) {
	c.list = append(c.list, o)
	n := len(c.list)
	switch {
	case n <= shortList:
	case n > len(c.slots)/4*3:
		c.slots = make([]uint32, max(4*shortList, 2*len(c.slots))) // a power of two
		for i := range c.list {
			c.index(i)
		}
	default:
		c.index(n - 1)
	}
}

// forgetDropped leaves out the paths that were dropped.
func (c *children) forgetDropped() {
	c.list = slices.DeleteFunc(c.list, (*origin).isDropped)
	if cap(c.list) > 4*max(len(c.list), shortList) {
		c.list = slices.Clone(c.list)
	}
	c.slots = nil
	if n := len(c.list); n > shortList {
		size := 4 * shortList
		for n > size/4*3 {
			size *= 2
		}
		c.slots = make([]uint32, size)
		for i := range c.list {
			c.index(i)
		}
	}
}

func (c *children) index(i int) {
	at := c.first(c.list[i].name)
	for c.slots[at] != 0 {
		at = c.next(at)
	}
	c.slots[at] = uint32(i + 1)
}

func (c *children) first(name string) int {
	return int(maphash.String(hashSeed, name)) & (len(c.slots) - 1)
}

func (c *children) next(at int) int { return (at + 1) & (len(c.slots) - 1) }

// names holds strings in blocks, one after the other.
type names struct{ block strings.Builder }

const namesBlock = 16 << 10

// keep returns a copy of s.
func (n *names) keep(s string) string {
	if n.block.Cap()-n.block.Len() < len(s) {
		n.block.Reset() // the strings in the old one stay
		n.block.Grow(max(namesBlock, len(s)))
	}
	start := n.block.Len()
	n.block.WriteString(s)
	return n.block.String()[start:]
}
