package seccomp

import (
	"fmt"
	"slices"

	"github.com/elastic/go-seccomp-bpf/arch"
)

// An ABI is a way to enter the kernel, with its own system call numbers. A 64-bit program
// can use every ABI of its machine, whatever it was built for ("int $0x80" enters the
// i386 ABI), so a filter must handle all of them.
type ABI struct {
	Name  string // "x86_64", "i386", "x32", "aarch64", "arm"
	Audit uint32 // AUDIT_ARCH_*, as in struct seccomp_data
	Bit   uint32 // set in each number of this ABI (x32: bit 30), else 0

	names   map[uint32]string   // by number, without Bit
	numbers map[string][]uint32 // by name, with Bit, in order
}

// ABIs returns the ABIs of a machine, given its GOARCH, the native one first. It returns
// an error for architectures other than amd64 and arm64. The result is not shared and may
// be used concurrently.
func ABIs(goarch string) ([]*ABI, error) {
	switch goarch {
	case "amd64":
		return []*ABI{newABI(arch.X86_64), newABI(arch.I386), newABI(arch.X32)}, nil
	case "arm64":
		return []*ABI{newABI(arch.AARCH64), newABI(arch.ARM)}, nil
	}
	return nil, fmt.Errorf("seccomp: no system call tables for %s (amd64 and arm64 have them)", goarch)
}

// newer lists calls that Linux gained after the tables of go-seccomp-bpf v1.6.0, which
// end at Linux 6.15. From number 424 on, all ABIs have the same numbers.
var newer = map[uint32]string{
	468: "file_getattr", // Linux 6.17
	469: "file_setattr", // Linux 6.17
}

// renamed maps names of those tables to the kernel's own.
var renamed = map[string]map[string]string{
	"aarch64": {"fstatat": "newfstatat"},
}

func newABI(info *arch.Info) *ABI {
	abi := &ABI{
		Name:  info.Name,
		Audit: uint32(info.ID),
		Bit:   uint32(info.SeccompMask),
		names: make(map[uint32]string, len(info.SyscallNumbers)+len(newer)),
	}
	for nr, name := range newer {
		abi.names[nr] = name
	}
	for nr, name := range info.SyscallNumbers {
		if kernels, ok := renamed[info.Name][name]; ok {
			name = kernels
		}
		abi.names[uint32(nr)&^abi.Bit] = name
	}
	abi.numbers = make(map[string][]uint32, len(abi.names))
	for nr, name := range abi.names {
		abi.numbers[name] = append(abi.numbers[name], nr|abi.Bit)
	}
	for _, numbers := range abi.numbers {
		slices.Sort(numbers)
	}
	return abi
}

// Syscall returns the name of the call with number nr, or "" if there is none. For an ABI
// with a Bit, nr must have this bit set, as in struct seccomp_data.
func (a *ABI) Syscall(nr uint32) string {
	if nr&a.Bit != a.Bit {
		return ""
	}
	return a.names[nr&^a.Bit]
}

// Numbers returns the numbers of the call with the given name, in ascending order and
// with Bit set. Most calls have one number, some have two (execve of x32). The result is
// empty if the ABI does not have the call. The caller must not modify it.
func (a *ABI) Numbers(name string) []uint32 { return a.numbers[name] }
