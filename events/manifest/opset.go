package manifest

import (
	"math/bits"

	"github.com/fstrace/fstrace/events"
)

// An opSet is a set of operations, a bit each.
type opSet uint16

func opBit(op events.Op) opSet { return 1 << op }

func (s opSet) has(op events.Op) bool { return s&opBit(op) != 0 }

// list returns the operations of a set, sorted.
func (s opSet) list() []events.Op {
	list := make([]events.Op, 0, bits.OnesCount16(uint16(s)))
	for op := events.Op(1); s>>op != 0; op++ {
		if s.has(op) {
			list = append(list, op)
		}
	}
	return list
}
