package manifest

import (
	"iter"
	"slices"
	"strings"

	"github.com/fstrace/fstrace/events"
)

// accesses keeps the first access of each kind to each path. Like the paths they are
// many, and small (24 bytes).
type accesses struct {
	all      arena[access]
	syscalls []string // their names, which are a few hundred at most
	numbers  map[string]uint16
	free     uint32 // the number of the first that was dropped, which knows the next as before; 0 if there is none
}

// An access is an Access, of a path that knows its last one.
type access struct {
	more    *accessDetails // nil if there are none
	before  uint32         // the number of the access by the same path before, from 1; 0 if this is the first
	process int32
	syscall uint16 // its index
	suffix  uint16 // if not 0: As is that many last bytes of the path
	op      events.Op
	state   events.State
}

// accessDetails are what few accesses have: most strings that programs give are the
// path itself, or its end.
type accessDetails struct {
	as    string
	links []events.Link
}

func (a *accesses) add(at *origin, e *events.Event, path string, s events.State, process int) {
	if at.accessed.has(e.Op) {
		return
	}
	at.accessed |= opBit(e.Op)
	x := access{before: at.accesses, process: int32(process), syscall: a.number(e.Syscall), op: e.Op, state: s}
	as := e.As
	if path == e.To {
		as = e.ToAs
	}
	if as == "" && path == e.Real {
		as = e.Path // the link that it was reached by
	}
	if strings.HasSuffix(path, as) && len(as) < 1<<16 {
		x.suffix, as = uint16(len(as)), ""
	}
	if as != "" || len(e.Links) > 0 {
		x.more = &accessDetails{as, slices.Clone(e.Links)}
	}
	if a.free != 0 {
		number := a.free
		slot := a.all.at(int(number - 1))
		a.free, *slot, at.accesses = slot.before, x, number
		return
	}
	a.all.add(x)
	at.accesses = uint32(a.all.len())
}

// drop forgets the accesses by a path.
func (a *accesses) drop(at *origin) {
	for at.accesses != 0 {
		number := at.accesses
		x := a.all.at(int(number - 1))
		at.accesses = x.before
		*x = access{before: a.free}
		a.free = number
	}
	at.accessed = 0
}

func (a *accesses) number(syscall string) uint16 {
	number, ok := a.numbers[syscall]
	if !ok {
		if a.numbers == nil {
			a.numbers = make(map[string]uint16)
		}
		number = uint16(len(a.syscalls))
		a.numbers[syscall] = number
		a.syscalls = append(a.syscalls, syscall)
	}
	return number
}

// by yields the accesses by a path, sorted by operation.
func (a *accesses) by(at *origin, path string) iter.Seq[Access] {
	return func(yield func(Access) bool) {
		var sorted [16]*access
		for i := at.accesses; i != 0; {
			x := a.all.at(int(i - 1))
			sorted[x.op], i = x, x.before
		}
		for _, x := range sorted {
			if x != nil && !yield(a.told(x, path)) {
				return
			}
		}
	}
}

func (a *accesses) told(x *access, path string) Access {
	t := Access{
		Path: path, Op: x.op, State: x.state, Process: int(x.process), Syscall: a.syscalls[x.syscall],
		As: path[len(path)-int(x.suffix):],
	}
	if x.more != nil {
		t.Links = x.more.links
		if x.more.as != "" {
			t.As = x.more.as
		}
	}
	return t
}
