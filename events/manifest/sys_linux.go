package manifest

import (
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// statx is statx(2) of a path, which it does not follow. unix.Statx makes an object for
// each path, and one for what it returns.
func statx(path string, mask int, stx *unix.Statx_t) error {
	var name [256]byte
	if len(path) >= len(name) || strings.IndexByte(path, 0) >= 0 {
		return unix.Statx(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW, mask, stx)
	}
	copy(name[:], path)
	const here = unix.AT_FDCWD
	dir := here // a variable, because a constant that is negative is no uintptr
	_, _, errno := unix.Syscall6(unix.SYS_STATX, uintptr(dir), uintptr(unsafe.Pointer(&name)), unix.AT_SYMLINK_NOFOLLOW,
		uintptr(mask), uintptr(unsafe.Pointer(stx)), 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// textOf returns the bytes as a string, without a copy. Nobody may write to them as long as
// the string is in use.
func textOf(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
