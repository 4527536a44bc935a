package manifest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"

	"golang.org/x/sys/unix"
)

// A Cache remembers from run to run which hash belongs to a file that has not
// changed: mount, inode, size, mtime, ctime -> SHA-256. Files on mounts of which the times
// do not tell are not put here.
//
// It is one sparse file, a table of sets of slots. The inode chooses the set and the slot
// of the set that is tried first. A slot is taken by the same inode, else by an empty or
// damaged one, else by chance: so the size is bounded, a lookup looks at some hundred bytes of
// the mapped file, and opening the cache reads nothing. A slot carries a checksum of itself. That is all the locking
// there is: a slot that two runs write at once, or that a crash leaves half
// written, does not check and is empty. A log, or a file that is replaced, would
// have to be read as a whole at each start.
//
// Only hashes of files whose times were older than the moment of hashing by more
// than the clock's granularity are put here: another change within the same tick
// would not show (git calls such an entry racy).
//
// The methods may be called concurrently, and on a nil Cache, which is empty.
type Cache struct {
	file   *os.File
	mapped []byte // the file as it was opened, as far as it went; nil if it cannot be mapped
}

const (
	cacheName    = "sums-2" // the number is the version of the layout
	slotSize     = 8*5 + 32 + 4 + 4
	slotsPerSet  = 8
	setSize      = slotSize * slotsPerSet
	cacheSets    = 1 << 15 // 21 MB, if it is ever full
	sumOffset    = 8 * 5
	crcOffset    = sumOffset + 32
	cacheFileMax = cacheSets * setSize
)

// castagnoli is made when it is needed: every start of a program would pay for it.
var castagnoli = sync.OnceValue(func() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) })

// CacheDir is where the cache belongs: $XDG_CACHE_HOME/fstrace, or ~/.cache/fstrace.
func CacheDir() (string, error) {
	base, err := os.UserCacheDir() // absolute, or an error
	if err != nil {
		return "", err
	}
	return filepath.Join(base, "fstrace"), nil
}

// UserCache opens the cache in CacheDir, nil if it cannot: a home directory that cannot
// be written to is no error. Without a cache there is more to hash, no more.
func UserCache() *Cache {
	dir, err := CacheDir()
	if err != nil {
		return nil
	}
	c, err := OpenCache(dir)
	if err != nil {
		return nil
	}
	return c
}

// OpenCache opens the cache in dir, and makes both if they are not there.
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
	c := &Cache{file: f}
	if size := min(st.Size, cacheFileMax) / setSize * setSize; size > 0 {
		// If it cannot be mapped, it is read.
		c.mapped, _ = unix.Mmap(int(f.Fd()), 0, int(size), unix.PROT_READ, unix.MAP_SHARED)
	}
	return c, nil
}

// Close closes the cache's file.
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
	h := (id.Ino ^ id.mount<<32) * 0x9e3779b97f4a7c15 // Fibonacci hashing: inodes are dense
	p.at, p.first = int64(h>>48)%cacheSets*setSize, int(h>>40)%slotsPerSet
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

// find returns the hash that a set has. Somebody may write to the set meanwhile: what is
// checked is a copy.
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

// findMapped is find in a part of the mapped file. If somebody has cut that off, the kernel
// sends SIGBUS: there is nothing then.
func (p *place) findMapped(set []byte) (sum [32]byte, ok bool) {
	before := debug.SetPanicOnFault(true)
	defer func() {
		debug.SetPanicOnFault(before)
		if cause := recover(); cause != nil {
			if _, isFault := cause.(interface{ Addr() uintptr }); !isFault {
				panic(cause)
			}
			ok = false
		}
	}()
	return p.find(set)
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
	i, rank := int(sum[0])%slotsPerSet, 0
	for at, slot := range p.slots(set[:]) {
		switch {
		case rank < 2 && p.isInode(slot): // as it was
			i, rank = at, 2
		case rank < 1 && !isWhole(slot):
			i, rank = at, 1
		}
	}
	var slot [slotSize]byte
	copy(slot[:], p.key[:])
	copy(slot[sumOffset:], sum[:])
	binary.LittleEndian.PutUint32(slot[crcOffset:], crc32.Checksum(slot[:crcOffset], castagnoli()))
	_, _ = c.file.WriteAt(slot[:], p.at+int64(i*slotSize))
}

// isWhole tells whether a slot checks. An empty one does not: the checksum of
// zeros is not zero.
func isWhole(slot []byte) bool {
	return binary.LittleEndian.Uint32(slot[crcOffset:]) == crc32.Checksum(slot[:crcOffset], castagnoli())
}
