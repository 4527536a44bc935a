package recorder

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/fstrace/fstrace/seccomp"
	"golang.org/x/sys/unix"
)

// A model is what the code has to do, said a second time. What it writes into the slots
// must be what the code has written, byte for byte.
type model struct {
	ring     []byte
	counter  uint64
	token    uint64
	memory   func(addr uint64, n int) []byte // of the process, before the call
	notified bool
	word     int // the offset of the call's slot
}

func (m *model) u32(at int) uint32      { return binary.LittleEndian.Uint32(m.ring[at:]) }
func (m *model) u64(at int) uint64      { return binary.LittleEndian.Uint64(m.ring[at:]) }
func (m *model) put32(at int, v uint32) { binary.LittleEndian.PutUint32(m.ring[at:], v) }
func (m *model) put64(at int, v uint64) { binary.LittleEndian.PutUint64(m.ring[at:], v) }

// before does what comes before the call, and reports whether it is recorded.
func (m *model) before(nr uint64, args [5]uint64) bool {
	class := uint8(0)
	if nr < classCount {
		class = calls[int(nr)].class
	}
	if class == 0 || m.token == 0 || m.u32(0)&openCalls == 0 {
		return false
	}
	slot := m.take()
	if slot == 0 {
		return false
	}
	m.word = slot * slotSize
	if !m.fill(m.word, class, nr, args) {
		m.put64(m.word, phaseFree)
		return false
	}
	m.put64(m.word+slotWord, m.counter<<phaseBits|phaseBegun)
	m.counter++
	return true
}

// take takes a slot.
func (m *model) take() int {
	slot := m.u32(8)
	for tries := 0; tries < triesForSlot; tries++ {
		if slot = (slot + 1) % slotCount; slot == 0 {
			slot = 1
		}
		if m.u64(int(slot)*slotSize) == 0 {
			m.put64(int(slot)*slotSize, phaseTaken)
			m.put32(8, slot)
			return int(slot)
		}
	}
	return 0
}

// fill writes the call into a slot, and reports whether it may be recorded.
func (m *model) fill(slot int, class uint8, nr uint64, args [5]uint64) bool {
	path := args[0]
	if class&classPath1 != 0 {
		path = args[1]
	}
	if path == 0 {
		return false
	}
	length := m.copyPath(slot+slotPath, path)
	if length <= 0 {
		return false
	}
	m.put32(slot+slotLength, uint32(length))
	if size, buffer := bufferOf(class, args); size > 0 && buffer <= path+uint64(length) && path < buffer+size {
		return false
	}
	text := string(m.ring[slot+slotPath : slot+slotPath+length])
	switch {
	case strings.HasPrefix(text, "/proc"), strings.HasPrefix(text, "/dev"):
		return false
	case text[0] == '/':
	case m.u32(0)&openRelative == 0, class&classPath1 != 0 && int32(args[0]) != unix.AT_FDCWD:
		return false
	}
	m.put32(slot+slotThread, 0)
	if m.u32(0)&openThreads != 0 {
		m.put32(slot+slotThread, uint32(unix.Gettid()))
	}
	m.put32(slot+slotCall, uint32(nr))
	for i := range 4 {
		m.put64(slot+slotArgs+8*i, args[i])
	}
	return true
}

// bufferOf returns the size and address of what the kernel writes to.
func bufferOf(class uint8, args [5]uint64) (size, at uint64) {
	at, size = args[1], uint64(uint32(args[2]))
	if class&classPath1 != 0 {
		at, size = args[2], uint64(uint32(args[3]))
	}
	switch {
	case class&classStatx != 0:
		return 256, args[4]
	case class&classStat != 0:
		return 144, at
	case class&classReadlink != 0:
		return max(size, 1), at // one of no size is in the path, if it is at its very begin
	}
	return 0, 0
}

// copyPath copies a string in units of eight bytes, or of one where eight would cross a
// page, and returns its length, -1 if there is not always room for eight more.
func (m *model) copyPath(to int, from uint64) (n int) {
	end := to - slotPath + slotEnd
	for to+n < end-8 {
		unit := 8
		if from%pageSize > pageSize-8 {
			unit = 1
		}
		b := m.memory(from, unit)
		copy(m.ring[to+n:], b)
		if i := bytes.IndexByte(b, 0); i >= 0 {
			return n + i
		}
		n += unit
		from += uint64(unit)
	}
	return -1
}

// after does what comes after a recorded call, with what the process's memory is then.
func (m *model) after(nr uint64, args [5]uint64, result int64, memory func(addr uint64, n int) []byte) {
	class := calls[int(nr)].class
	bufferSize := int32(args[2])
	buffer := args[1]
	if class&classPath1 != 0 {
		bufferSize, buffer = int32(args[3]), args[2]
	}
	errno := unix.Errno(-result)
	if result < 0 && (errno == unix.ENOSYS || errno == unix.EFAULT || errno == unix.EPERM ||
		errno == unix.EINVAL && (class&classReadlink == 0 || bufferSize <= 0)) {
		m.put64(m.word, m.u64(m.word)-phaseBegun+phaseVoid)
		m.notified = true
		return
	}
	m.put64(m.word, m.u64(m.word)-phaseBegun+phaseAnswered)
	m.put64(m.word+slotResult, uint64(result))
	told := toldNothing
	switch {
	case result < 0:
	case class&classStat != 0:
		told = toldStat
		st := memory(buffer, 144)
		for i, from := range []int{0, 8, 16, 24, 32, 48, 88, 96, 104, 112} {
			copy(m.ring[m.word+slotAnswer+8*i:], st[from:from+8])
		}
	case class&classStatx != 0:
		told = toldStatx
		st := memory(args[4], 256)
		for i, from := range []int{0, 16, 24, 32, 40, 96, 104, 112, 120, 136} {
			copy(m.ring[m.word+slotAnswer+8*i:], st[from:from+8])
		}
	case class&classReadlink != 0:
		to := slotPath + (int(m.u32(m.word+slotLength))+8)/8*8
		if to+int(result) <= slotEnd {
			told = toldTarget
			copy(m.ring[m.word+to:], memory(buffer, int(result)))
			m.put32(m.word+slotToldLength, uint32(result))
		}
	}
	m.put32(m.word+slotTold, uint32(told))
}

// A lab is a recorder in this process, with memory for its calls that ends at a page that
// cannot be touched.
type lab struct {
	*inside
	scratch []byte
	dir     string
	paths   []string
}

const scratchSize = 4 * pageSize

func newLab(t testing.TB) *lab {
	t.Helper()
	key := seccomp.Key(rand.Uint64())
	in, err := newInside(key)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(in.close)
	l := &lab{inside: in, dir: t.TempDir()}
	all, err := unix.Mmap(-1, 0, scratchSize+pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Munmap(all) })
	if err := unix.Mprotect(all[scratchSize:], unix.PROT_NONE); err != nil {
		t.Fatal(err)
	}
	l.scratch = all[:scratchSize:scratchSize]
	deep := filepath.Join(l.dir, strings.Repeat("d", 150), strings.Repeat("e", 100))
	for _, err := range []error{
		os.MkdirAll(deep, 0o755), os.WriteFile(filepath.Join(l.dir, "file"), []byte("content"), 0o640),
		os.Symlink("file", filepath.Join(l.dir, "link")), os.Symlink(strings.Repeat("x", 333), filepath.Join(l.dir, "far")),
		os.Symlink("/nowhere/at/all", filepath.Join(l.dir, "lost")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(l.dir)
	l.paths = []string{
		"", ".", "/", "file", "./file", "link", "far", "lost", "missing", "file/below", l.dir, l.dir + "/file", l.dir + "/link", l.dir + "/far",
		l.dir + "/lost", l.dir + "/missing", deep, "/proc", "/proc/self/exe", "/dev/null", "/pro", "/procession", "/devices", "/de", "/d",
		"/etc/passwd", "//proc/self", strings.Repeat("a", 400),
	}
	for n := slotEnd - slotPath - 12; n < slotEnd-slotPath+2; n++ {
		l.paths = append(l.paths, "/"+strings.Repeat("/", n-1))
	}
	return l
}

// TestModel makes calls at random in slots at random, and compares with the model all
// that has changed, and with the kernel what was returned.
func TestModel(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	l := newLab(t)
	numbers := []int{unix.SYS_GETPID, unix.SYS_FSTAT, 1000, classCount}
	for nr := range calls {
		numbers = append(numbers, nr, nr, nr)
	}
	seed := uint64(1)
	if os.Getenv("FSTRACE_STRESS") != "" {
		seed = rand.Uint64()
	}
	random := rand.New(rand.NewPCG(seed, 0))
	const rounds = 10000
	recorded, void := 0, 0
	for round := range rounds {
		nr, args := l.draw(random, numbers)
		l.fillSlots(random)
		ringBefore, scratchBefore := bytes.Clone(l.ring.mem), bytes.Clone(l.scratch)
		m := &model{ring: bytes.Clone(ringBefore), counter: *l.counter.word(), token: native.Uint64(l.mem[token:])}
		m.memory = l.reader(scratchBefore)
		// The kernel's answer, without the recorder, before and after: somebody else may
		// change a file meanwhile.
		bare := func() (uintptr, []byte) {
			clear(l.mem[token : token+8])
			copy(l.scratch, scratchBefore)
			return l.inside.call(nr, args), bytes.Clone(l.scratch)
		}
		want, wantMemory := bare()
		copy(l.scratch, scratchBefore)
		native.PutUint64(l.mem[token:], m.token)
		got := l.inside.call(nr, args)
		memory := bytes.Clone(l.scratch)
		label := fmt.Sprintf("seed %d, round %d: %s %x", seed, round, calls[nr].name, args)
		if got != want || !bytes.Equal(memory, wantMemory) {
			if want, wantMemory = bare(); got != want || !bytes.Equal(memory, wantMemory) {
				t.Fatalf("%s: returns %d, want %d; memory equal: %v", label, int64(got), int64(want), bytes.Equal(memory, wantMemory))
			}
		}
		wide := [5]uint64{}
		for i, a := range args {
			wide[i] = uint64(a)
		}
		if m.before(uint64(nr), wide) {
			recorded++
			m.after(uint64(nr), wide, int64(got), l.reader(memory))
			if m.notified {
				void++
			}
		}
		if i := differs(l.ring.mem, m.ring); i >= 0 {
			t.Fatalf("%s: slot %d, byte %d is %#x, the model's %#x", label, i/slotSize, i%slotSize, l.ring.mem[i], m.ring[i])
		}
		if n := *l.counter.word(); n != m.counter {
			t.Fatalf("%s: the counter is %d, the model's %d", label, n, m.counter)
		}
	}
	if recorded < rounds/10 || void < rounds/1000 {
		t.Errorf("of %d calls %d were recorded and %d of these made again: the test has become too narrow", rounds, recorded, void)
	}
}

func differs(a, b []byte) int {
	if bytes.Equal(a, b) {
		return -1
	}
	for i := range a {
		if a[i] != b[i] {
			return i
		}
	}
	return -1
}

// reader returns what reads a copy of scratch at scratch's own addresses.
func (l *lab) reader(b []byte) func(uint64, int) []byte {
	from := uint64(addressOf(l.scratch))
	return func(addr uint64, n int) []byte { return b[addr-from : addr-from+uint64(n)] }
}

// draw draws a call, and puts what it names into scratch.
func (l *lab) draw(random *rand.Rand, numbers []int) (nr int, args [5]uintptr) {
	clear(l.scratch)
	for range 64 {
		l.scratch[random.IntN(scratchSize)] = byte(random.Uint32())
	}
	at := func(offset int) uintptr { return addressOf(l.scratch) + uintptr(offset) }
	text := l.paths[random.IntN(len(l.paths))] + "\x00"
	where := random.IntN(scratchSize - len(text) + 1)
	switch random.IntN(3) {
	case 0: // it ends with the memory
		where = scratchSize - len(text)
	case 1: // or is in two pages
		where = 2*pageSize - random.IntN(len(text)+1)
	}
	copy(l.scratch[where:], text)
	path := at(where)
	if random.IntN(50) == 0 {
		path = 0
	}
	buffer := at(random.IntN(scratchSize - 512))
	if random.IntN(4) == 0 && where < scratchSize-512 {
		buffer = path // one buffer for both
	}
	n := uintptr([]int{0, 1, 5, 256, 400, -1}[random.IntN(6)])
	flags := uintptr([]int{0, unix.AT_SYMLINK_NOFOLLOW, unix.AT_EMPTY_PATH, 0x40000000}[random.IntN(4)])
	dir := uintptr([]int{unix.AT_FDCWD, unix.AT_FDCWD, -1, 0, 1<<32 - 100}[random.IntN(5)])
	nr = numbers[random.IntN(len(numbers))]
	native.PutUint64(l.mem[token:], uint64(min(1, random.IntN(20))))
	open := Opening(0)
	for bit, often := range map[Opening]bool{Absolute: random.IntN(20) > 0, Relative: random.IntN(4) > 0, Threads: random.IntN(2) > 0} {
		if often {
			open |= bit
		}
	}
	l.ring.Open(open)
	switch nr {
	case unix.SYS_STAT, unix.SYS_LSTAT:
		return nr, [5]uintptr{path, buffer, n, flags, 7}
	case unix.SYS_ACCESS:
		return nr, [5]uintptr{path, uintptr(random.IntN(9))}
	case unix.SYS_READLINK:
		return nr, [5]uintptr{path, buffer, min(n, 400), 7, 7} // a size of -1 is EINVAL
	case unix.SYS_NEWFSTATAT:
		return nr, [5]uintptr{dir, path, buffer, flags}
	case unix.SYS_STATX:
		mask := uintptr([]int{unix.STATX_BASIC_STATS, 0, 0xfff}[random.IntN(3)])
		return nr, [5]uintptr{dir, path, flags, mask, buffer}
	case unix.SYS_FACCESSAT, unix.SYS_FACCESSAT2:
		return nr, [5]uintptr{dir, path, uintptr(random.IntN(9)), flags}
	case unix.SYS_READLINKAT:
		return nr, [5]uintptr{dir, path, buffer, n}
	case unix.SYS_FSTAT:
		return nr, [5]uintptr{0, buffer}
	}
	return nr, args
}

// fillSlots has slots be in use, and hold what earlier calls have left.
func (l *lab) fillSlots(random *rand.Rand) {
	for i := 1; i < slotCount; i++ {
		word := uint64(0)
		if random.IntN(3) == 0 {
			word = random.Uint64()
		}
		native.PutUint64(l.ring.mem[i*slotSize:], word)
	}
	if random.IntN(10) == 0 { // none is free
		for i := 1; i < slotCount; i++ {
			native.PutUint64(l.ring.mem[i*slotSize:], 1<<phaseBits|phaseBegun)
		}
	}
	native.PutUint32(l.ring.mem[8:], random.Uint32()>>random.IntN(32))
}
