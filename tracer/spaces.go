package tracer

import (
	"slices"

	"github.com/fstrace/fstrace/tracer/internal/procfs"
	slots "github.com/fstrace/fstrace/tracer/internal/recorder"
	"golang.org/x/sys/unix"
)

// An addressSpace is the memory of a process, and what is recorded in it. recordings.mu
// guards it.
type addressSpace struct {
	// users are the processes in it. There is more than one while a child of vfork has
	// not executed a program: its calls must not be taken for its parent's.
	users int
	// unfit: nothing is recorded in it, or no more.
	unfit   bool
	threads bool // there is more than one, or was

	// base is where the recorder is, 0 for nowhere. A forked child has it where its
	// parent has, with no slots: source is nil.
	base    uint64
	source  *source
	settled bool // source.dir is where relative paths begin
	led     []slots.Led

	calls    int // notified ones; when something is recorded, from sites that are not led to the recorder
	likely   int // those of them that could have been recorded
	next     int // by how many calls it is looked at again
	attempts int
	awaits   <-chan struct{} // closed when its module has been read; nil for nothing
}

// The tracer thread calls begin, born, joined, executed, ended and released, while the
// process is stopped, or gone. A nil *recordings records nothing.

// begin enters the command.
func (s *recordings) begin(p *process) {
	if s != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		p.space = newSpace()
	}
}

func newSpace() *addressSpace { return &addressSpace{users: 1, next: callsBefore} }

// born enters a process that another has made, nil if that is not known. It has not run
// yet.
func (s *recordings) born(p, parent *process) {
	if s == nil {
		return
	}
	s.collect(true) // what made it possible comes first
	s.mu.Lock()
	defer s.mu.Unlock()
	if parent == nil || parent.space == nil {
		p.apart, p.space = true, newSpace()
		return
	}
	sharesMemory := compare(p.pid, parent.pid, kcmpVM)
	p.apart = parent.apart
	if sharesMemory != isDifferent {
		p.space = parent.space
		p.space.users++
		if sharesMemory == isUnclear {
			p.space.unfit = true
		}
		s.open(p.space)
		return
	}
	p.space = newSpace()
	p.space.base, p.space.led = parent.space.base, slices.Clip(parent.space.led)
	p.space.unfit = parent.space.unfit && parent.space.base != 0
	if compare(p.pid, parent.pid, kcmpFS) != isDifferent || compare(p.pid, parent.pid, kcmpFiles) != isDifferent {
		p.apart = true
		s.setApart(parent)
	}
}

// joined enters a new thread, which has not run yet.
func (s *recordings) joined(tid int, p *process) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.space == nil {
		return
	}
	p.space.threads = true
	if compare(tid, p.pid, kcmpFS) != isSame || compare(tid, p.pid, kcmpFiles) != isSame {
		p.space.unfit = true
	}
	s.open(p.space)
}

// executed gives a process new memory.
func (s *recordings) executed(p *process) {
	if s == nil {
		return
	}
	s.depart(p)
	s.mu.Lock()
	defer s.mu.Unlock()
	p.space = newSpace()
}

// ended collects from a process for the last time.
func (s *recordings) ended(p *process) {
	if s != nil {
		s.depart(p)
	}
}

// depart takes a process out of its memory.
func (s *recordings) depart(p *process) {
	s.suspect()
	s.collect(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	sp := p.space
	if sp == nil {
		return
	}
	p.space = nil
	sp.users--
	for tid, in := range s.injections { // it was killed before it could be stopped
		if in.proc == p {
			delete(s.injections, tid)
			in.source.closeRing()
		}
	}
	if sp.source != nil && sp.source.proc == p {
		s.drop(sp.source)
		sp.source, sp.unfit = nil, true // for a child of vfork that has outlived it
	}
	s.open(sp)
}

// released closes the slots of a process that is about to be detached: nobody would take
// back its faults.
func (s *recordings) released(p *process) {
	if s == nil {
		return
	}
	s.mu.Lock()
	if p.space != nil {
		p.space.unfit = true
		s.open(p.space)
	}
	s.mu.Unlock()
	s.collect(true)
}

// setApart is called for a process that has, or may get, a root directory or mounts of
// its own, a working directory or descriptors that others share, or a filter: nothing is
// recorded in it, nor in its children. The lock is held.
func (s *recordings) setApart(p *process) {
	p.apart = true
	if p.space != nil {
		s.open(p.space)
	}
}

// open says which calls may be recorded in a space now. The lock is held.
func (s *recordings) open(sp *addressSpace) {
	if sp.source == nil {
		return
	}
	var o slots.Opening
	if !sp.unfit && !sp.source.proc.apart && sp.users == 1 {
		o = slots.Absolute
		if sp.settled {
			o |= slots.Relative
		}
		if sp.threads {
			o |= slots.Threads
		}
	}
	sp.source.ring.Open(o)
}

// unsettle has paths that begin at the working directory notified, for the processes that
// it reports true for. What had begun is given its place.
func (s *recordings) unsettle(of func(*source) bool) {
	s.mu.Lock()
	for _, src := range s.sources {
		if sp := src.proc.space; sp != nil && sp.source == src && sp.settled && of(src) {
			sp.settled = false
			s.open(sp)
		}
	}
	s.mu.Unlock()
	s.collect(true)
}

// settle says where paths of a process begin from now on.
func (s *recordings) settle(p *process, dir procfs.Place) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sp := p.space; sp != nil && sp.source != nil && !sp.settled {
		sp.source.dir, sp.settled = dir, true
		s.open(sp)
	}
}

// A comparison is what kcmp(2) says of what two threads have: Linux 3.5.
type comparison uint8

const (
	isUnclear comparison = iota
	isSame
	isDifferent

	kcmpVM    = 1
	kcmpFiles = 2
	kcmpFS    = 3
)

func compare(a, b, what int) comparison {
	order, _, errno := unix.RawSyscall6(unix.SYS_KCMP, uintptr(a), uintptr(b), uintptr(what), 0, 0, 0)
	switch {
	case errno != 0:
		return isUnclear
	case order == 0:
		return isSame
	}
	return isDifferent
}
