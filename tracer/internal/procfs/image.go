package procfs

import (
	"bytes"
	"strconv"

	"golang.org/x/sys/unix"
)

// SameImage reports whether two processes have the memory of one exec, because one of them
// has made the other, or the same process both. It compares the addresses that the kernel
// chose at the exec (/proc/PID/auxv), and so returns false where they are not random.
func SameImage(a, b int) bool {
	const addrNoRandomize = 0x0040000 // personality(2)
	var roomA, roomB, room [512]byte
	one, err := ReadFile(a, "auxv", roomA[:])
	if err != nil {
		return false
	}
	other, err := ReadFile(b, "auxv", roomB[:])
	if err != nil || len(one) == 0 || !bytes.Equal(one, other) {
		return false
	}
	data, err := ReadFile(a, "personality", room[:])
	if err != nil {
		return false
	}
	personality, err := strconv.ParseUint(string(bytes.TrimSpace(data)), 16, 32)
	return err == nil && personality&addrNoRandomize == 0 && randomizes()
}

// randomizes reports whether the kernel chooses addresses at random.
func randomizes() bool {
	fd, err := unix.Open("/proc/sys/kernel/randomize_va_space", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	data, err := ReadAll(fd, nil)
	return err == nil && string(bytes.TrimSpace(data)) != "0"
}
