package recorder

import (
	"bytes"
	"cmp"
	"slices"
	"sync/atomic"

	"github.com/fstrace/fstrace/events"
	"golang.org/x/sys/unix"
)

// A Record is a call that a process has recorded. It may come twice: as soon as it has
// begun, if it is found so, and when it has returned.
type Record struct {
	Number uint64 // by the session's counter: the order in which calls were begun
	Thread uint32 // its tid; 0 for the process's first thread
	Call   uint32 // its number, of x86-64
	Args   [4]uint64
	Path   []byte // as the process has given it, neither empty nor too long

	// Returned: Result and what is below are there.
	Returned bool
	Result   int64           // 0 or more, or -errno
	Info     events.FileInfo // what a stat has told, if HasInfo
	HasInfo  bool
	Target   []byte // what a readlink has told; nil if it is not there
	Void     bool   // it could not be recorded: it is made again, and notified
	Again    bool   // the Record has come before, not returned
}

// A Ring is fstrace's end of a process's slots. It is for one goroutine, but for Open.
type Ring struct {
	shared
	seen    [slotCount]uint64 // the numbers of those that were given not returned
	quiet   uint64            // the next number when all slots were free; 0 if they were not
	damaged bool
	found   []finding
	copy    [slotSize]byte
	record  Record
}

// A finding is a slot that has something to give.
type finding struct {
	number, word uint64
	slot         int
}

// NewRing returns a ring in which nothing may be recorded yet.
func NewRing() (*Ring, error) {
	s, err := newShared("fstrace-recorder", ringSize)
	if err != nil {
		return nil, err
	}
	return &Ring{shared: s}, nil
}

// Opening says which calls may be recorded.
type Opening uint64

// Parts of an Opening. Without Absolute, none may be recorded.
const (
	// Absolute: those by absolute paths.
	Absolute Opening = openCalls
	// Relative: those by paths that begin at the working directory.
	Relative Opening = openRelative
	// Threads: a Record is to say which thread made the call.
	Threads Opening = openThreads
)

// Open says which calls may be recorded from now on. What may no longer be recorded is
// not: the calls that had begun before are given by the next Drain with begun set, and
// others are notified. It is safe for concurrent use.
func (r *Ring) Open(o Opening) { atomic.StoreUint64(r.word(ringOpen-ring), uint64(o)) }

func (r *Ring) word(offset int) *uint64 { return wordAt(r.mem, offset) }

// Drain calls yield with what was recorded since the last time, in the order of the
// numbers: the calls that have returned and, if begun is set, those that have only begun.
// The Record is the callee's until it returns. Slots whose calls have returned are free
// then.
//
// It costs next to nothing while no process of the session begins a call.
//
// ErrDamaged says that there was something that no recorder writes. Records that are
// right were given nevertheless; nothing comes from this ring any more, and none may be
// recorded in it.
func (r *Ring) Drain(c *Counter, begun bool, yield func(*Record)) error {
	if r.damaged {
		return ErrDamaged
	}
	// A call takes its slot first, then its number. If all slots were free at a number
	// that nobody has taken since, they still are.
	start := atomic.LoadUint64(c.word())
	if start == r.quiet {
		return nil
	}
	r.found, r.quiet = r.found[:0], start
	for i := 1; i < slotCount; i++ {
		if !r.look(i, begun) {
			r.quiet = 0
		}
	}
	next, err := c.Check()
	slices.SortFunc(r.found, func(a, b finding) int { return cmp.Compare(a.number, b.number) })
	last, rec := uint64(0), &r.record
	for i := range r.found {
		f := &r.found[i]
		ok := r.take(f, rec) && f.number != last && f.number < next
		switch {
		case !ok:
			r.damaged = true
		case !rec.Void || rec.Again:
			yield(rec)
		}
		last = f.number
	}
	if r.damaged || err != nil {
		r.damaged, r.quiet = true, 0
		r.Open(0)
		return ErrDamaged
	}
	return nil
}

// Suspect has the next Drain look at all slots. The numbers that processes have taken are
// what they have written into memory that they share: a process could take them back.
func (r *Ring) Suspect() { r.quiet = 0 }

// look finds out whether a slot has something to give, and reports whether it has not, or
// will not have when that is given: it is free.
func (r *Ring) look(i int, begun bool) (free bool) {
	at := i * slotSize
	word := atomic.LoadUint64(r.word(at + slotWord))
	if word == phaseFree {
		r.seen[i] = 0
		return true
	}
	const phases = 1<<phaseBits - 1
	if word&phases == phaseBegun && begun {
		// If this fails the call has just returned, or is withdrawn.
		if given := word - phaseBegun + phaseGiven; atomic.CompareAndSwapUint64(r.word(at+slotWord), word, given) {
			word = given
		} else {
			word = atomic.LoadUint64(r.word(at + slotWord))
		}
	}
	number, phase := word>>phaseBits, word&phases
	switch {
	case word == phaseFree, word == phaseTaken:
		r.seen[i] = 0
		return word == phaseFree
	case phase < phaseBegun || phase > phaseVoid || number == 0:
		r.damaged = true
		return false
	case phase >= phaseAnswered:
	case r.seen[i] == number, !begun:
		return false
	case phase == phaseBegun: // it is another one than a moment ago
		return false
	}
	r.found = append(r.found, finding{number, word, i})
	return phase >= phaseAnswered
}

// take reads what was found, and makes a slot free whose call has returned. It reports
// whether it is what a recorder writes.
func (r *Ring) take(f *finding, rec *Record) (ok bool) {
	at, phase := f.slot*slotSize, f.word&(1<<phaseBits-1)
	r.copyUsed(r.mem[at : at+slotSize])
	*rec = Record{Number: f.number, Again: r.seen[f.slot] == f.number, Returned: phase == phaseAnswered, Void: phase == phaseVoid}
	ok = rec.read(r.copy[:])
	if phase < phaseAnswered {
		r.seen[f.slot] = f.number
		return ok
	}
	r.seen[f.slot] = 0
	// Nobody else makes this step. If it fails the process has meddled.
	return atomic.CompareAndSwapUint64(r.word(at+slotWord), f.word, phaseFree) && ok
}

// copyUsed copies what is used of a slot: its first words, the path, and the target of a
// link. The process may write to the slot meanwhile, so that nothing is read twice.
func (r *Ring) copyUsed(slot []byte) {
	to := &r.copy
	copy(to[:slotPath], slot)
	end := slotPath + int(min(native.Uint32(to[slotLength:]), slotEnd-slotPath)) + 1
	if native.Uint32(to[slotTold:]) == toldTarget {
		end += 7 + int(min(native.Uint32(to[slotToldLength:]), slotEnd-slotPath))
	}
	end = min(end, slotEnd)
	copy(to[slotPath:end], slot[slotPath:])
}

// read reads a copy of a slot, and reports whether it is one that a recorder writes.
func (rec *Record) read(slot []byte) bool {
	rec.Call = native.Uint32(slot[slotCall:])
	c, ok := calls[int(rec.Call)]
	length := native.Uint32(slot[slotLength:])
	if !ok || length == 0 || length >= slotEnd-slotPath {
		return false
	}
	rec.Path = slot[slotPath : slotPath+length]
	if bytes.IndexByte(slot[slotPath:slotPath+length+1], 0) != int(length) {
		return false
	}
	rec.Thread = native.Uint32(slot[slotThread:])
	for i := range rec.Args {
		rec.Args[i] = native.Uint64(slot[slotArgs+8*i:])
	}
	return !rec.Returned || rec.readAnswer(slot, c.class, int(length))
}

func (rec *Record) readAnswer(slot []byte, class uint8, length int) bool {
	rec.Result = int64(native.Uint64(slot[slotResult:]))
	const lastErrno = 4095
	told := native.Uint32(slot[slotTold:])
	if rec.Result < -lastErrno || rec.Result < 0 && told != toldNothing {
		return false
	}
	w := func(i int) uint64 { return native.Uint64(slot[slotAnswer+8*i:]) }
	switch {
	case told == toldNothing:
	case told == toldStat && class&classStat != 0:
		rec.HasInfo = true
		rec.Info = events.FileInfo{
			Dev: w(0), Ino: w(1), Nlink: uint32(w(2)), Mode: uint32(w(3)), UID: uint32(w(3) >> 32), GID: uint32(w(4)), Size: int64(w(5)),
			Mtime: nanoseconds(w(6), w(7)), Ctime: nanoseconds(w(8), w(9)),
		}
	case told == toldStatx && class&classStatx != 0:
		const needed = unix.STATX_BASIC_STATS &^ unix.STATX_ATIME &^ unix.STATX_BLOCKS
		if w(0)&needed != needed {
			break // less was asked for, or is known
		}
		rec.HasInfo = true
		rec.Info = events.FileInfo{
			Dev: unix.Mkdev(uint32(w(9)), uint32(w(9)>>32)), Ino: w(3), Nlink: uint32(w(1)), UID: uint32(w(1) >> 32), GID: uint32(w(2)),
			Mode: uint32(w(2)>>32) & 0xffff, Size: int64(w(4)), Ctime: nanoseconds(w(5), w(6)&0xffffffff), Mtime: nanoseconds(w(7), w(8)&0xffffffff),
		}
	case told == toldTarget && class&classReadlink != 0:
		from := slotPath + (length+8)&^7
		n := int(native.Uint32(slot[slotToldLength:]))
		if int64(n) != rec.Result || n == 0 || from+n > slotEnd {
			return false
		}
		rec.Target = slot[from : from+n]
	default:
		return false
	}
	return true
}

// nanoseconds returns a struct timespec as one number.
func nanoseconds(s, ns uint64) int64 {
	return int64(s)*1e9 + int64(ns)
}

// Reclaim makes slots free whose calls have not returned although they were given by
// Drain: their answers will not come. It is for a ring that has few free slots left, as
// its process leaves calls by siglongjmp, or has many in calls that last. It returns how
// many there were.
func (r *Ring) Reclaim() (n int) {
	for i := 1; i < slotCount; i++ {
		if r.seen[i] == 0 {
			continue
		}
		given := r.seen[i]<<phaseBits | phaseGiven
		if atomic.CompareAndSwapUint64(r.word(i*slotSize+slotWord), given, phaseFree) {
			r.seen[i] = 0
			n++
		}
	}
	return n
}
