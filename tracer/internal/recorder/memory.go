package recorder

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// native is the byte order of the one machine that has a recorder.
var native = binary.LittleEndian

// A shared is memory that fstrace shares with processes: a file without a name, and where
// it is mapped here.
type shared struct {
	fd  int
	mem []byte
}

func newShared(name string, size int) (s shared, err error) {
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	s.fd, err = unix.MemfdCreate(name, flags|unix.MFD_NOEXEC_SEAL)
	if err == unix.EINVAL { // before Linux 6.3
		s.fd, err = unix.MemfdCreate(name, flags)
	}
	if err != nil {
		return s, fmt.Errorf("recorder: memfd_create: %w", err)
	}
	if err = unix.Ftruncate(s.fd, int64(size)); err == nil {
		// Any process that has the descriptor could make it shorter, which makes our
		// reads fail.
		_, err = unix.FcntlInt(uintptr(s.fd), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_SEAL)
	}
	if err == nil {
		s.mem, err = mapFile(s.fd, size)
	}
	if err != nil {
		unix.Close(s.fd)
		return s, fmt.Errorf("recorder: make shared memory: %w", err)
	}
	return s, nil
}

// FD returns the memory's file, to be mapped by a process.
func (s *shared) FD() int { return s.fd }

// CloseFile closes the memory's file, which every process needs that is to map it. What
// is mapped stays.
func (s *shared) CloseFile() {
	_ = unix.Close(s.fd) // it holds nothing back
	s.fd = -1
}

// Close gives the memory up. Processes keep theirs.
func (s *shared) Close() error {
	err := unix.Munmap(s.mem)
	if s.fd >= 0 {
		err = errors.Join(err, unix.Close(s.fd))
	}
	return err
}

// A Counter numbers the calls of a session: the recorded ones by the processes, the
// notified ones by fstrace.
type Counter struct {
	shared
	last uint64 // as it was seen
}

// NewCounter returns a counter whose first number is 1.
func NewCounter() (*Counter, error) {
	s, err := newShared("fstrace-counter", pageSize)
	if err != nil {
		return nil, err
	}
	c := &Counter{shared: s}
	atomic.StoreUint64(c.word(), 1)
	return c, nil
}

func (c *Counter) word() *uint64 { return wordAt(c.mem, 0) }

// Next takes a number.
func (c *Counter) Next() uint64 { return atomic.AddUint64(c.word(), 1) - 1 }

// ErrDamaged says that a process has written into shared memory what its recorder does
// not write there.
var ErrDamaged = errors.New("recorder: a process has written into the memory that its calls are recorded in")

// Check returns the number that will be taken next, or ErrDamaged if numbers were taken
// back.
func (c *Counter) Check() (next uint64, err error) {
	next = atomic.LoadUint64(c.word())
	if next < c.last || next == 0 || next > 1<<(64-phaseBits-1) {
		return next, ErrDamaged
	}
	c.last = next
	return next, nil
}
