package seccomp

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
)

// An ABI is a way to enter the kernel, with its own system call numbers. A 64-bit program
// can use every ABI of its machine, whatever it was built for ("int $0x80" enters the
// i386 ABI), so a filter must handle all of them.
type ABI struct {
	Name  string // "x86_64", "i386", "x32", "aarch64", "arm"
	Audit uint32 // AUDIT_ARCH_*, as in struct seccomp_data
	Bit   uint32 // set in each number of this ABI (x32: bit 30), else 0

	calls []call // by number
}

// A call is a system call of an ABI: its number, without Bit, and the kernel's name for
// it.
type call struct {
	number uint32
	name   string
}

// ABIs returns the ABIs of a machine, given its GOARCH, the native one first. It returns
// an error for architectures other than amd64 and arm64. The result is not shared and may
// be used concurrently.
func ABIs(goarch string) ([]*ABI, error) {
	switch goarch {
	case "amd64":
		return copies(abiX86_64, abiI386, abiX32), nil
	case "arm64":
		return copies(abiAarch64, abiArm), nil
	}
	return nil, fmt.Errorf("seccomp: no system call tables for %s (amd64 and arm64 have them)", goarch)
}

func copies(abis ...ABI) (list []*ABI) {
	for i := range abis {
		list = append(list, &abis[i])
	}
	return list
}

// The ABIs that there are: linux/audit.h, and tables.go. Nothing is computed when a
// program starts: each process that fstrace starts would pay for it.
var (
	abiX86_64  = ABI{Name: "x86_64", Audit: 0xc000003e, calls: callsX86_64}
	abiI386    = ABI{Name: "i386", Audit: 0x40000003, calls: callsI386}
	abiX32     = ABI{Name: "x32", Audit: 0xc000003e, Bit: 0x40000000, calls: callsX32}
	abiAarch64 = ABI{Name: "aarch64", Audit: 0xc00000b7, calls: callsAarch64}
	abiArm     = ABI{Name: "arm", Audit: 0x40000028, calls: callsArm}
)

// Syscall returns the name of the call with number nr, or "" if there is none. For an ABI
// with a Bit, nr must have this bit set, as in struct seccomp_data.
func (a *ABI) Syscall(nr uint32) string {
	if nr&a.Bit != a.Bit {
		return ""
	}
	i, ok := slices.BinarySearchFunc(a.calls, nr&^a.Bit, func(c call, nr uint32) int { return cmp.Compare(c.number, nr) })
	if !ok {
		return ""
	}
	return a.calls[i].name
}

// Numbers returns the numbers of the call with the given name, in ascending order and
// with Bit set. Most calls have one number, some have two (execve of x32). The result is
// empty if the ABI does not have the call.
func (a *ABI) Numbers(name string) (numbers []uint32) {
	for nr, n := range a.Calls() {
		if n == name {
			numbers = append(numbers, nr)
		}
	}
	return numbers
}

// Calls returns the calls of the ABI in the order of their numbers, which have Bit set.
func (a *ABI) Calls() iter.Seq2[uint32, string] {
	return func(yield func(number uint32, name string) bool) {
		for i := range a.calls {
			if !yield(a.calls[i].number|a.Bit, a.calls[i].name) {
				return
			}
		}
	}
}
