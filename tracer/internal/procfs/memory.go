package procfs

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"github.com/fstrace/fstrace/tracer/internal/sys"
	"golang.org/x/sys/unix"
)

// Results of reading a tracee's memory, for errors.Is. With the first two the
// call itself fails in the kernel, and so accesses nothing.
var (
	ErrBadAddress = errors.New("address is not mapped")  // the call gives EFAULT
	ErrTooLong    = errors.New("string has no end")      // the call gives ENAMETOOLONG
	ErrOpaque     = errors.New("memory may not be read") // EPERM: not dumpable, or a policy
	ErrCallerGone = errors.New("the caller is gone")     // ESRCH
)

const (
	pathMax  = unix.PathMax // with the NUL
	pageSize = 4096         // the smallest page of any machine: a safe step
	// firstRead is how much of a string is read at first: most paths are shorter,
	// and copying a page costs more than asking again for the few that are not.
	firstRead = 256
)

// A Marker is called before and after each system call that may take long.
type Marker interface {
	Enter()
	Leave()
}

// A Memory reads the memory of tracees, into a buffer of its own. It is for one
// goroutine.
type Memory struct {
	buf [pathMax]byte
	// noVMRead: process_vm_readv(2) is refused here altogether (ENOSYS, or EPERM
	// by a container's policy), and /proc/TID/mem is what is left.
	noVMRead bool
	Marker   Marker // nil for none
}

// CString reads the NUL-terminated string at addr, at most PATH_MAX bytes with
// its NUL. The result is valid until the next call.
//
// One process_vm_readv across a page that cannot be read returns the bytes
// before it, but a string may end just there: so each page is read by itself.
func (m *Memory) CString(tid int, addr uint64) ([]byte, error) {
	have := 0
	for have < len(m.buf) {
		from := addr + uint64(have)
		step := pageSize - int(from%pageSize)
		if have == 0 {
			step = min(step, firstRead)
		}
		step = min(step, len(m.buf)-have)
		n, err := m.read(tid, from, m.buf[have:have+step])
		if err != nil {
			return nil, err
		}
		if end := bytes.IndexByte(m.buf[have:have+n], 0); end >= 0 {
			return m.buf[:have+end], nil
		}
		have += n
	}
	return nil, ErrTooLong
}

// Bytes reads exactly n bytes, at most PATH_MAX. The result is valid until the
// next call.
func (m *Memory) Bytes(tid int, addr uint64, n int) ([]byte, error) {
	got := 0
	for got < n {
		k, err := m.read(tid, addr+uint64(got), m.buf[got:n])
		if err != nil {
			return nil, err
		}
		got += k
	}
	return m.buf[:n], nil
}

// read reads at least one byte. A page may have to be fetched first, from a file system
// or by a handler of userfaultfd(2).
func (m *Memory) read(tid int, addr uint64, buf []byte) (int, error) {
	if m.Marker == nil {
		return m.readNow(tid, addr, buf)
	}
	m.Marker.Enter()
	n, err := m.readNow(tid, addr, buf)
	m.Marker.Leave()
	return n, err
}

func (m *Memory) readNow(tid int, addr uint64, buf []byte) (int, error) {
	if !m.noVMRead {
		n, errno := sys.ProcessVMReadv(tid, addr, buf)
		switch errno {
		case 0:
			return n, nil
		case unix.ENOSYS:
			m.noVMRead = true
		case unix.EPERM: // by the process or by a policy: the other way tells
		default:
			return 0, memoryError(errno)
		}
	}
	return readProcMem(tid, addr, buf)
}

// readProcMem reads through /proc/TID/mem: proc(5).
func readProcMem(tid int, addr uint64, buf []byte) (int, error) {
	if int64(addr) < 0 { // no file offset, and no address of a program
		return 0, ErrBadAddress
	}
	f, err := os.Open(fmt.Sprintf("/proc/%d/mem", tid))
	if err != nil {
		return 0, memoryError(err)
	}
	defer f.Close()
	n, err := f.ReadAt(buf, int64(addr))
	if n > 0 {
		return n, nil
	}
	return 0, memoryError(err)
}

func memoryError(err error) error {
	switch {
	case errors.Is(err, unix.EFAULT), errors.Is(err, unix.EIO):
		return ErrBadAddress
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return ErrOpaque
	case errors.Is(err, unix.ESRCH), errors.Is(err, unix.ENOENT):
		return ErrCallerGone
	}
	return fmt.Errorf("read memory: %w", err)
}
