package manifest

import (
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// statx is statx(2) of a path, which it does not follow. unix.Statx makes an object for
// each path, and one for what it returns.
func statx(path string, mask int, stx *unix.Statx_t) error {
	var name [shortPath]byte
	if !isShort(path) {
		return unix.Statx(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW, mask, stx)
	}
	copy(name[:], path)
	dir := here // a variable, because a constant that is negative is no uintptr
	_, _, errno := unix.Syscall6(unix.SYS_STATX, uintptr(dir), uintptr(unsafe.Pointer(&name)), unix.AT_SYMLINK_NOFOLLOW,
		uintptr(mask), uintptr(unsafe.Pointer(stx)), 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// lstat is lstat(2). unix.Lstat makes an object for each path.
func lstat(path string, st *unix.Stat_t) error {
	var name [shortPath]byte
	if !isShort(path) {
		return unix.Lstat(path, st)
	}
	copy(name[:], path)
	dir := here
	_, _, errno := unix.Syscall6(sysFstatat, uintptr(dir), uintptr(unsafe.Pointer(&name)), uintptr(unsafe.Pointer(st)),
		unix.AT_SYMLINK_NOFOLLOW, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

const (
	here      = unix.AT_FDCWD
	shortPath = 256
)

func isShort(path string) bool { return len(path) < shortPath && strings.IndexByte(path, 0) < 0 }

// textOf returns the bytes as a string, without a copy. Nobody may write to them as long
// as the string is in use.
func textOf(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
