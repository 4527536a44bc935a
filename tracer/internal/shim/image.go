package shim

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// A binary with the entry point of entry_linux_*.s executes itself to become the shim.
// Any other one executes a copy of the stub, from a file in memory: an ELF header, one
// program header, and the code, at imageBase.

const (
	imageBase    = 0x400000
	imageHeaders = 64 + 56 // of elf(5): Ehdr and Phdr
)

// machine is the architecture's number in elf(5).
var machine = map[string]uint16{"amd64": 62, "arm64": 183}

// image returns the stub as an executable file.
func image(goarch string, code []byte) []byte {
	size := uint64(imageHeaders + len(code))
	b := make([]byte, 0, size)
	le := binary.LittleEndian
	b = append(b, 0x7f, 'E', 'L', 'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0) // 64 bits, little-endian
	b = le.AppendUint16(b, 2)                                              // ET_EXEC
	b = le.AppendUint16(b, machine[goarch])
	b = le.AppendUint32(b, 1)
	b = le.AppendUint64(b, imageBase+imageHeaders) // the entry point
	b = le.AppendUint64(b, 64)                     // where the program header is
	b = le.AppendUint64(b, 0)                      // no section headers
	b = le.AppendUint32(b, 0)
	b = le.AppendUint16(b, 64) // the sizes of the headers, and how many there are
	b = le.AppendUint16(b, 56)
	b = le.AppendUint16(b, 1)
	b = le.AppendUint16(b, 64)
	b = le.AppendUint16(b, 0)
	b = le.AppendUint16(b, 0)
	b = le.AppendUint32(b, 1) // PT_LOAD
	b = le.AppendUint32(b, 5) // PF_R|PF_X
	b = le.AppendUint64(b, 0)
	b = le.AppendUint64(b, imageBase)
	b = le.AppendUint64(b, imageBase)
	b = le.AppendUint64(b, size)
	b = le.AppendUint64(b, size)
	b = le.AppendUint64(b, 1<<16) // the largest page size
	return append(b, code...)
}

// stubFile returns the descriptor of a file in memory that is the stub, for execve.
func stubFile() (int, error) {
	code, err := stubCode()
	if err != nil {
		return -1, err
	}
	fd, err := unix.MemfdCreate(Name, unix.MFD_CLOEXEC|unix.MFD_EXEC)
	if err == unix.EINVAL { // before Linux 6.3 each can be executed
		fd, err = unix.MemfdCreate(Name, unix.MFD_CLOEXEC)
	}
	if err != nil {
		return -1, fmt.Errorf("memfd_create: %w", err)
	}
	b := image(runtime.GOARCH, code)
	if n, err := unix.Write(fd, b); n != len(b) {
		unix.Close(fd)
		return -1, fmt.Errorf("write to memfd: %d of %d bytes: %w", n, len(b), err)
	}
	return fd, nil
}

// stubCode returns the stub's instructions.
func stubCode() ([]byte, error) {
	const limit = 1 << 12
	end := "endestubendestub" // in stub_linux_*.s
	for n := range limit {
		if code := stubBytes(n + len(end)); string(code[n:]) == end {
			return code[:n], nil
		}
	}
	return nil, errors.New("the stub has no end")
}
