package recorder

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// wordAt returns a word of memory that others change at the same time.
func wordAt(b []byte, offset int) *uint64 {
	_ = b[offset+7]
	return (*uint64)(unsafe.Pointer(unsafe.SliceData(b[offset:])))
}

// mapFile maps the first n bytes of a file, shared, to be read and written.
func mapFile(fd, n int) ([]byte, error) {
	return unix.Mmap(fd, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
}

// addressOf returns the address of what b begins with, which must be mapped memory: Go
// may move its own.
func addressOf(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }

// mapAt maps n bytes of a file, or zeroes if fd is -1, at an address that is already the
// caller's.
func mapAt(at uintptr, n, prot, flags, fd int) error {
	_, _, errno := unix.Syscall6(unix.SYS_MMAP, at, uintptr(n), uintptr(prot), uintptr(flags|unix.MAP_FIXED), uintptr(fd), 0)
	if errno != 0 {
		return errno
	}
	return nil
}
