package recorder

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/fstrace/fstrace/events"
	"golang.org/x/sys/unix"
)

// drained returns what Drain gives, with memory of its own.
func drained(t *testing.T, r *Ring, c *Counter) []Record {
	t.Helper()
	list, err := tryDrained(r, c)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func tryDrained(r *Ring, c *Counter) (list []Record, err error) {
	err = r.Drain(c, true, func(rec *Record) {
		own := *rec
		own.Path, own.Target = slices.Clone(rec.Path), slices.Clone(rec.Target)
		list = append(list, own)
	})
	return list, err
}

// undrained returns what Drain gives of calls that have returned alone.
func undrained(t *testing.T, l *lab) (list []Record) {
	t.Helper()
	if err := l.ring.Drain(l.counter, false, func(rec *Record) {
		own := *rec
		own.Path, own.Target = slices.Clone(rec.Path), slices.Clone(rec.Target)
		list = append(list, own)
	}); err != nil {
		t.Fatal(err)
	}
	return list
}

// put puts a path into the lab's memory, with a buffer behind it.
func (l *lab) put(path string) (name, buffer uintptr) {
	copy(l.scratch, path+"\x00")
	return addressOf(l.scratch), addressOf(l.scratch) + pageSize
}

func infoOf(t *testing.T, path string, follow bool) events.FileInfo {
	t.Helper()
	var st unix.Stat_t
	err := unix.Lstat(path, &st)
	if follow {
		err = unix.Stat(path, &st)
	}
	if err != nil {
		t.Fatal(err)
	}
	return events.FileInfo{
		Dev: st.Dev, Ino: st.Ino, Mode: st.Mode, UID: st.Uid, GID: st.Gid, Nlink: uint32(st.Nlink), Size: st.Size,
		Mtime: st.Mtim.Nano(), Ctime: st.Ctim.Nano(),
	}
}

// TestDrain has each kind of call recorded, and compares what Drain makes of it.
func TestDrain(t *testing.T) {
	l := newLab(t)
	l.ring.Open(Absolute | Relative)
	file := filepath.Join(l.dir, "file")
	if err := os.Chown(file, 12345, 54321); err != nil && os.Getuid() == 0 {
		t.Fatal(err)
	}
	here := unix.AT_FDCWD
	tests := []struct {
		nr     int
		path   string
		args   func(name, buffer uintptr) [5]uintptr
		result int64
		info   string // of what it tells; "" for nothing
		follow bool
		target string
	}{
		{unix.SYS_STAT, "link", func(n, b uintptr) [5]uintptr { return [5]uintptr{n, b} }, 0, "link", true, ""},
		{unix.SYS_LSTAT, "link", func(n, b uintptr) [5]uintptr { return [5]uintptr{n, b} }, 0, "link", false, ""},
		{unix.SYS_STAT, "missing", func(n, b uintptr) [5]uintptr { return [5]uintptr{n, b} }, -int64(unix.ENOENT), "", false, ""},
		{unix.SYS_STAT, "file/below", func(n, b uintptr) [5]uintptr { return [5]uintptr{n, b} }, -int64(unix.ENOTDIR), "", false, ""},
		{unix.SYS_NEWFSTATAT, file, func(n, b uintptr) [5]uintptr { return [5]uintptr{uintptr(here), n, b} }, 0, file, false, ""},
		{unix.SYS_NEWFSTATAT, file, func(n, b uintptr) [5]uintptr { return [5]uintptr{77, n, b} }, 0, file, false, ""},
		{unix.SYS_STATX, file, func(n, b uintptr) [5]uintptr { return [5]uintptr{uintptr(here), n, 0, unix.STATX_BASIC_STATS, b} }, 0, file, true, ""},
		{unix.SYS_ACCESS, file, func(n, b uintptr) [5]uintptr { return [5]uintptr{n, unix.R_OK} }, 0, "", false, ""},
		{unix.SYS_FACCESSAT2, file, func(n, b uintptr) [5]uintptr { return [5]uintptr{uintptr(here), n, unix.R_OK} }, 0, "", false, ""},
		{unix.SYS_READLINK, "link", func(n, b uintptr) [5]uintptr { return [5]uintptr{n, b, 100} }, 4, "", false, "file"},
		{unix.SYS_READLINK, "link", func(n, b uintptr) [5]uintptr { return [5]uintptr{n, b, 2} }, 2, "", false, "fi"},
		{unix.SYS_READLINK, "far", func(n, b uintptr) [5]uintptr { return [5]uintptr{n, b, 400} }, 333, "", false, strings.Repeat("x", 333)},
		{unix.SYS_READLINK, "././././far", func(n, b uintptr) [5]uintptr { return [5]uintptr{n, b, 400} }, 333, "", false, strings.Repeat("x", 333)},
		{unix.SYS_READLINK, "././././././././far", func(n, b uintptr) [5]uintptr { return [5]uintptr{n, b, 400} }, 333, "", false, ""}, // no room for it
		{unix.SYS_READLINKAT, "file", func(n, b uintptr) [5]uintptr { return [5]uintptr{uintptr(here), n, b, 100} }, -int64(unix.EINVAL), "", false, ""},
	}
	for i, test := range tests {
		name, buffer := l.put(test.path)
		args := test.args(name, buffer)
		l.call(test.nr, args)
		list := drained(t, l.ring, l.counter)
		want := Record{
			Number: uint64(i + 1), Call: uint32(test.nr), Args: [4]uint64{uint64(args[0]), uint64(args[1]), uint64(args[2]), uint64(args[3])},
			Path: []byte(test.path), Returned: true, Result: test.result,
		}
		if test.info != "" {
			want.Info, want.HasInfo = infoOf(t, test.info, test.follow), true
		}
		if test.target != "" {
			want.Target = []byte(test.target)
		}
		if len(list) != 1 || fmt.Sprintf("%+v", list[0]) != fmt.Sprintf("%+v", want) {
			t.Errorf("%s %s:\n%+v, want\n%+v", calls[test.nr].name, test.path, list, want)
		}
	}
	if again := drained(t, l.ring, l.counter); len(again) > 0 {
		t.Errorf("given twice: %+v", again)
	}
}

// TestBegun: a call is given when it has begun, and again when it has returned; one that
// does not return can be given up.
func TestBegun(t *testing.T) {
	l := newLab(t)
	l.ring.Open(Absolute | Relative)
	name, buffer := l.put("file")
	for range 4 {
		l.call(unix.SYS_STAT, [5]uintptr{name, buffer})
	}
	const phases = 1<<phaseBits - 1
	slot := func(i int) *uint64 { return l.ring.word(i * slotSize) }
	set := func(i int, phase uint64) { *slot(i) = *slot(i)&^phases | phase }
	for i, phase := range []uint64{phaseBegun, phaseAnswering, phaseBegun, phaseVoid} {
		set(i+1, phase)
	}
	if list := undrained(t, l); len(list) > 0 {
		t.Fatalf("given though they have only begun: %+v", list)
	}
	list := drained(t, l.ring, l.counter)
	if len(list) != 3 || list[0].Returned || list[1].Returned || list[2].Returned || list[2].Number != 3 {
		t.Fatalf("%+v", list)
	}
	if list := drained(t, l.ring, l.counter); len(list) > 0 {
		t.Fatalf("given twice: %+v", list)
	}
	set(1, phaseAnswered)
	set(2, phaseAnswered)
	list = drained(t, l.ring, l.counter)
	if len(list) != 2 || !list[0].Again || !list[0].Returned || !list[0].HasInfo || list[1].Number != 2 {
		t.Fatalf("%+v", list)
	}
	if n := l.ring.Reclaim(); n != 1 || *slot(3) != phaseFree {
		t.Errorf("%d slots were given up, want 1", n)
	}
	for i := 1; i < slotCount; i++ {
		if *slot(i) != phaseFree {
			t.Errorf("slot %d is not free", i)
		}
	}
	// One that was begun, given, and then found to be one that must not be recorded.
	l.call(unix.SYS_STAT, [5]uintptr{name, buffer})
	set(5, phaseBegun)
	drained(t, l.ring, l.counter)
	set(5, phaseVoid)
	if list := drained(t, l.ring, l.counter); len(list) != 1 || !list[0].Void || !list[0].Again {
		t.Errorf("%+v", list)
	}
}

// TestDrainBeside records and drains at the same time: every call that has taken a number
// is given once returned, and in the order of the numbers.
func TestDrainBeside(t *testing.T) {
	l := newLab(t)
	l.ring.Open(Absolute | Relative)
	name, buffer := l.put("file")
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 20000 {
			l.call(unix.SYS_STAT, [5]uintptr{name, buffer})
		}
	}()
	returned := make(map[uint64]int)
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
			runtime.Gosched()
		}
		last := uint64(0)
		for _, rec := range drained(t, l.ring, l.counter) {
			if rec.Number <= last || string(rec.Path) != "file" {
				t.Fatalf("%+v after %d", rec, last)
			}
			last = rec.Number
			if rec.Returned {
				returned[rec.Number]++
			}
		}
	}
	next, err := l.counter.Check()
	if err != nil {
		t.Fatal(err)
	}
	for n := uint64(1); n < next; n++ {
		if returned[n] != 1 {
			t.Fatalf("call %d of %d was given %d times", n, next-1, returned[n])
		}
	}
	if next < 100 {
		t.Errorf("%d calls were recorded", next-1)
	}
}

// TestClose opens and closes a ring while calls are made: what is not given by the Drain
// that follows a close is not recorded until the ring is open again.
func TestClose(t *testing.T) {
	l := newLab(t)
	name, buffer := l.put("file")
	done, stop := make(chan struct{}), atomic.Bool{}
	go func() {
		defer close(done)
		for !stop.Load() {
			l.call(unix.SYS_STAT, [5]uintptr{name, buffer})
		}
	}()
	given, late := 0, 0
	for given < 20000 {
		l.ring.Open(Absolute | Relative)
		for range 10 {
			runtime.Gosched()
			given += len(drained(t, l.ring, l.counter))
		}
		for _, o := range []Opening{Absolute, 0} {
			l.ring.Open(o)
			given += len(drained(t, l.ring, l.counter))
			for range 10 {
				runtime.Gosched()
				for _, rec := range drained(t, l.ring, l.counter) {
					if !rec.Again {
						t.Fatalf("recorded while closed: %+v", rec)
					}
					late++
				}
			}
		}
	}
	stop.Store(true)
	<-done
	t.Logf("%d given, %d of them returned after a close", given, late)
}

// scribble has a process write into its ring, and checks that fstrace's end survives
// that.
func scribble(t *testing.T, r *Ring, c *Counter, data []byte, at int) {
	t.Helper()
	copy(r.mem[at%ringSize:], data)
	given := 0
	err := r.Drain(c, true, func(rec *Record) {
		given++
		if len(rec.Path) == 0 || len(rec.Path) >= slotEnd-slotPath || len(rec.Target) > slotEnd-slotPath || rec.Number >= *c.word() {
			t.Errorf("given: %+v", rec)
		}
	})
	if given >= slotCount {
		t.Errorf("%d calls from %d slots", given, slotCount)
	}
	r.Reclaim()
	if err != nil {
		if !errors.Is(err, ErrDamaged) {
			t.Error(err)
		}
		if again := r.Drain(c, true, func(*Record) { t.Error("a damaged ring gives a call") }); !errors.Is(again, ErrDamaged) {
			t.Errorf("a damaged ring is drained: %v", again)
		}
		clear(r.mem)
		r.seen, r.damaged = [slotCount]uint64{}, false
	}
}

// TestScribbled writes at random into a ring in use; another process's ring, and its
// calls, have nothing of it.
func TestScribbled(t *testing.T) {
	l := newLab(t)
	name, buffer := l.put("file")
	bad, err := NewRing()
	if err != nil {
		t.Fatal(err)
	}
	defer bad.Close()
	random := rand.New(rand.NewPCG(3, 4))
	for range 5000 {
		l.ring.Open(Absolute | Relative)
		l.call(unix.SYS_STAT, [5]uintptr{name, buffer})
		copy(bad.mem, l.ring.mem)
		data := make([]byte, 1<<random.IntN(12))
		for i := range data {
			data[i] = byte(random.Uint32() >> (random.IntN(4) * 8))
		}
		scribble(t, bad, l.counter, data, random.IntN(ringSize))
		if list := drained(t, l.ring, l.counter); len(list) != 1 || !list[0].Returned {
			t.Fatalf("the other ring: %+v", list)
		}
	}
}

// FuzzDrain is scribble with data of the fuzzer's.
func FuzzDrain(f *testing.F) {
	f.Add([]byte{9<<phaseBits | phaseBegun, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0}, 1)
	f.Add([]byte{9<<phaseBits | phaseAnswered, 0, 0, 0, 0, 0, 0, 0, 89, 0, 0, 0, 1, 0, 0, 0}, 2)
	f.Fuzz(func(t *testing.T, data []byte, slot int) {
		c, err := NewCounter()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		*c.word() = 1000
		r, err := NewRing()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		at := (slot & (slotCount - 1)) * slotSize
		for i := slotPath; i < slotEnd && at > 0; i += 2 {
			r.mem[at+i] = '/' // a path of one
		}
		scribble(t, r, c, data, at)
	})
}

// TestQuiet: slots that were free are not looked at again before somebody has taken a
// number; but they are when that is suspect.
func TestQuiet(t *testing.T) {
	l := newLab(t)
	l.ring.Open(Absolute | Relative)
	name, buffer := l.put("file")
	for range 3 {
		l.call(unix.SYS_STAT, [5]uintptr{name, buffer})
		if list := drained(t, l.ring, l.counter); len(list) != 1 {
			t.Fatalf("%+v", list)
		}
	}
	// A process has taken its number back, which it would need to record a call unseen.
	next := *l.counter.word()
	l.call(unix.SYS_STAT, [5]uintptr{name, buffer})
	*l.counter.word() = next
	if list := drained(t, l.ring, l.counter); len(list) != 0 {
		t.Errorf("looked at without a number: %+v", list)
	}
	l.ring.Suspect()
	if _, err := tryDrained(l.ring, l.counter); !errors.Is(err, ErrDamaged) {
		t.Errorf("%v, want ErrDamaged", err)
	}
}

// TestNotQuiet: a slot that is taken, begun or given is looked at again, whether numbers
// are taken or not.
func TestNotQuiet(t *testing.T) {
	l := newLab(t)
	l.ring.Open(Absolute | Relative)
	name, buffer := l.put("file")
	word := l.ring.word(slotSize + slotWord)
	for _, phase := range []uint64{phaseTaken, phaseBegun, phaseGiven} {
		l.call(unix.SYS_STAT, [5]uintptr{name, buffer})
		drained(t, l.ring, l.counter)
		number := *l.counter.word()
		*l.counter.word()++
		*word = phase
		if phase != phaseTaken {
			*word |= number << phaseBits
			copy(l.ring.mem[slotSize+slotCall:], "\x04\x00\x00\x00\x04\x00\x00\x00") // stat
			copy(l.ring.mem[slotSize+slotPath:], "file\x00")
		}
		drained(t, l.ring, l.counter)
		*word = number<<phaseBits | phaseAnswered
		copy(l.ring.mem[slotSize+slotCall:], "\x04\x00\x00\x00\x04\x00\x00\x00")
		copy(l.ring.mem[slotSize+slotPath:], "file\x00")
		l.ring.mem[slotSize+slotTold] = toldNothing
		clear(l.ring.mem[slotSize+slotResult:][:8])
		if list := drained(t, l.ring, l.counter); len(list) != 1 || !list[0].Returned || list[0].Number != number {
			t.Errorf("phase %d: %+v", phase, list)
		}
	}
}

// TestCounterTakenBack: who writes into the counter is found out.
func TestCounterTakenBack(t *testing.T) {
	l := newLab(t)
	l.ring.Open(Absolute | Relative)
	name, buffer := l.put("file")
	l.call(unix.SYS_STAT, [5]uintptr{name, buffer})
	drained(t, l.ring, l.counter)
	*l.counter.word() = 1
	if _, err := tryDrained(l.ring, l.counter); !errors.Is(err, ErrDamaged) {
		t.Errorf("%v, want ErrDamaged", err)
	}
}
