package manifest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fstrace/fstrace/events"
	"golang.org/x/sys/unix"
)

// A Cache maps files to their hashes from run to run: mount, inode, size, mtime, ctime ->
// SHA-256. It does not store hashes of files on mounts whose times are not reliable.
//
// It is one sparse file, a table of sets of slots. The inode selects the set. A new entry
// takes the slot of the same inode, or an empty or damaged slot, or the oldest. So the
// size is bounded, a lookup is one pread, and opening the cache reads nothing. Each slot
// has a checksum instead of a lock: a slot that two runs write at the same time, or that
// a crash leaves half written, fails its checksum and counts as empty. A log, or a file
// that is replaced, would have to be read completely at each start.
//
// It stores a hash only if the times of the file were older than the moment of hashing by
// more than the granularity of the clock. Otherwise another change within the same tick
// would not be visible (git calls such an entry racy).
//
// The methods may be called concurrently, also by several processes, and on a nil Cache,
// which is empty.
type Cache struct {
	file   *os.File
	inode  inode
	mapped []byte // the file as it was opened, as far as it went; nil if it cannot be mapped

	fetched atomic.Uint32
}

const (
	cacheName    = "sums-3" // the number is the version of the layout
	slotSize     = 8*5 + 32 + 4 + 4
	slotsPerSet  = 8
	setSize      = slotSize * slotsPerSet
	cacheSets    = 1 << 15 // 21 MB, if it is ever full
	sumOffset    = 8 * 5
	crcOffset    = sumOffset + 32
	ageOffset    = crcOffset + 4 // when it was written, in seconds of Unix time
	cacheFileMax = cacheSets * setSize
)

// castagnoli is made when it is needed: every start of a program would pay for it.
var castagnoli = sync.OnceValue(func() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) })

// UserCache opens the cache of the user, $XDG_CACHE_HOME/fstrace or ~/.cache/fstrace. It
// returns nil if that fails, for example because the home directory is read-only. A nil
// Cache is usable; it only saves no hashing.
func UserCache() *Cache {
	base, err := os.UserCacheDir() // absolute, or an error
	if err != nil {
		return nil
	}
	c, err := OpenCache(filepath.Join(base, "fstrace"))
	if err != nil {
		return nil
	}
	return c
}

// OpenCache opens the cache in dir, and creates the directory and the cache if they do
// not exist. It returns an error if the file belongs to another user or others may write
// to it.
func OpenCache(dir string) (*Cache, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open cache: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, cacheName), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open cache: %w", err)
	}
	var st unix.Stat_t
	err = unix.Fstat(int(f.Fd()), &st)
	switch {
	case err != nil:
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		err = errors.New("not a regular file")
	case int(st.Uid) != os.Geteuid() || st.Mode&0o022 != 0:
		err = errors.New("others may write to it")
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("open cache %s: %w", f.Name(), err)
	}
	c := &Cache{file: f, inode: inode{st.Dev, st.Ino}}
	if size := min(st.Size, cacheFileMax) / setSize * setSize; size > 0 {
		// If it cannot be mapped, it is read.
		c.mapped, _ = unix.Mmap(int(f.Fd()), 0, int(size), unix.PROT_READ, unix.MAP_SHARED)
	}
	return c, nil
}

// isWriting reports whether an operation opens the file of the cache for writing. Only
// another fstrace does, in the session of this one.
func (c *Cache) isWriting(op events.Op, info *events.FileInfo) bool {
	return c != nil && op == events.OpWrite && info.Known() && inodeOf(info) == c.inode
}

// Close closes the file of the cache.
func (c *Cache) Close() error {
	if c == nil {
		return nil
	}
	var err error
	if c.mapped != nil {
		err = unix.Munmap(c.mapped)
		c.mapped = nil
	}
	return errors.Join(err, c.file.Close())
}

// get returns the hash of the file of that identity, if it is known.
func (c *Cache) get(id *identity) (sum [32]byte, ok bool) {
	if c == nil || id.mount == 0 {
		return sum, false
	}
	p := placeOf(id)
	if end := p.at + setSize; end <= int64(len(c.mapped)) {
		return p.findMapped(c.mapped[p.at:end])
	}
	var set [setSize]byte
	n, _ := c.file.ReadAt(set[:], p.at)
	return p.find(set[:n])
}

// fetch has the processor fetch what get is going to look at for these files.
func (c *Cache) fetch(looks []look) {
	if c == nil {
		return
	}
	guarded(func() {
		var all byte
		for i := range looks {
			if id := &looks[i].id; id.mount != 0 {
				p := placeOf(id)
				if at := p.at + int64(p.first*slotSize); at+slotSize <= int64(len(c.mapped)) {
					all |= c.mapped[at] | c.mapped[at+slotSize-1]
				}
			}
		}
		c.fetched.Store(uint32(all)) // so that the compiler leaves the reads in
	})
}

// A place is where the hash of a file belongs.
type place struct {
	key   [sumOffset]byte
	at    int64 // of the set in the file
	first int   // which slot is tried first
}

func placeOf(id *identity) (p place) {
	for i, v := range [...]uint64{id.mount, id.Ino, uint64(id.Size), uint64(id.Mtime), uint64(id.Ctime)} {
		binary.LittleEndian.PutUint64(p.key[i*8:], v)
	}
	// Files that are made together have inodes side by side and are looked up together.
	// So they are in sets side by side: a page of memory has some of them. The upper bits
	// of the inode, and the mount, are hashed (Fibonacci hashing).
	const together = 1 << 10
	h := (id.Ino/together ^ id.mount) * 0x9e3779b97f4a7c15
	p.at, p.first = int64((id.Ino+h>>48)%cacheSets)*setSize, int(h>>40)%slotsPerSet
	return p
}

// slots yields the slots of a set, as far as it goes, and which they are.
func (p *place) slots(set []byte) func(func(int, []byte) bool) {
	return func(yield func(int, []byte) bool) {
		for i := range slotsPerSet {
			i = (p.first + i) % slotsPerSet
			if end := (i + 1) * slotSize; end <= len(set) && !yield(i, set[end-slotSize:end]) {
				return
			}
		}
	}
}

// find returns the hash that a set has. Another process may write to the set meanwhile:
// what is checked is a copy.
func (p *place) find(set []byte) (sum [32]byte, ok bool) {
	for _, slot := range p.slots(set) {
		if !p.isInode(slot) {
			continue
		}
		slot := [slotSize]byte(slot)
		if [sumOffset]byte(slot[:]) == p.key && isWhole(slot[:]) {
			return [32]byte(slot[sumOffset:]), true
		}
	}
	return sum, false
}

// isInode reports whether a slot is of the same inode, in whatever state.
func (p *place) isInode(slot []byte) bool { return [16]byte(slot) == [16]byte(p.key[:]) }

// findMapped is find in a part of the mapped file.
func (p *place) findMapped(set []byte) (sum [32]byte, ok bool) {
	isThere := guarded(func() { sum, ok = p.find(set) })
	return sum, ok && isThere
}

// guarded calls read, which reads the mapped file. If another process has truncated the
// file, the kernel sends SIGBUS, and guarded returns false.
func guarded(read func()) (isThere bool) {
	before := debug.SetPanicOnFault(true)
	defer func() {
		debug.SetPanicOnFault(before)
		if cause := recover(); cause != nil {
			if _, isFault := cause.(interface{ Addr() uintptr }); !isFault {
				panic(cause)
			}
		}
	}()
	read()
	return true
}

// put notes the hash of the file of that identity. That it cannot be written is
// no error: the file is hashed again, then.
func (c *Cache) put(id *identity, sum [32]byte) {
	if c == nil || id.mount == 0 {
		return
	}
	p := placeOf(id)
	var set [setSize]byte
	_, _ = c.file.ReadAt(set[:], p.at) // what is not there is zero
	i, rank, oldest := 0, 0, uint32(math.MaxUint32)
	for at, slot := range p.slots(set[:]) {
		age := binary.LittleEndian.Uint32(slot[ageOffset:])
		switch {
		case rank < 2 && p.isInode(slot): // as it was
			i, rank = at, 2
		case rank < 1 && !isWhole(slot):
			i, rank = at, 1
		case rank < 1 && age < oldest:
			i, oldest = at, age
		}
	}
	var slot [slotSize]byte
	copy(slot[:], p.key[:])
	copy(slot[sumOffset:], sum[:])
	binary.LittleEndian.PutUint32(slot[ageOffset:], uint32(time.Now().Unix()))
	binary.LittleEndian.PutUint32(slot[crcOffset:], crc32.Checksum(slot[:crcOffset], castagnoli()))
	_, _ = c.file.WriteAt(slot[:], p.at+int64(i*slotSize))
}

// isWhole reports whether a slot checks. An empty one does not: the checksum of zeros is
// not zero.
func isWhole(slot []byte) bool {
	return binary.LittleEndian.Uint32(slot[crcOffset:]) == crc32.Checksum(slot[:crcOffset], castagnoli())
}
