package procfs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/maphash"
	"strconv"

	"golang.org/x/sys/unix"
)

var imageSeed = maphash.MakeSeed()

// Image returns a number that all processes have in common that have the memory of one
// exec: a process, those that it has made, and so on, until they call exec. It is made of
// the addresses that the kernel chose at the exec (/proc/PID/auxv): ok is false where
// they are not random, or not random enough, as in 32-bit programs.
func Image(pid int) (id uint64, ok bool) {
	const addrNoRandomize, types = 0x0040000, 256 // personality(2); those of a 64-bit vector
	var vector, room [1 << 10]byte
	auxv, err := ReadFile(pid, "auxv", vector[:])
	if err != nil || len(auxv) < 8 || binary.NativeEndian.Uint64(auxv) >= types {
		return 0, false
	}
	data, err := ReadFile(pid, "personality", room[:])
	if err != nil {
		return 0, false
	}
	personality, err := strconv.ParseUint(string(bytes.TrimSpace(data)), 16, 32)
	if err != nil || personality&addrNoRandomize != 0 || !randomizes() {
		return 0, false
	}
	return maphash.Bytes(imageSeed, auxv), true
}

// HasMemory reports whether a process has memory. A process that ends gives its memory up
// before it is a zombie. Its vector is empty then, and cannot be opened in newer kernels
// (seen in 6.18).
func HasMemory(pid int) bool {
	var room [1 << 10]byte
	auxv, err := ReadFile(pid, "auxv", room[:])
	if err != nil {
		return !errors.Is(err, unix.ESRCH) && !errors.Is(err, unix.ENOENT)
	}
	return len(auxv) > 0
}

// randomizes reports whether the kernel chooses addresses at random.
func randomizes() bool {
	fd, err := unix.Open("/proc/sys/kernel/randomize_va_space", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	var b [1]byte
	n, err := unix.Read(fd, b[:])
	return err == nil && n == 1 && b[0] != '0'
}
