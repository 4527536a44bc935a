package syscalls

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"github.com/fstrace/fstrace/seccomp"
	"golang.org/x/net/bpf"
)

const (
	retNotify = 0x7fc00000
	retAllow  = 0x7fff0000
)

// packet lays out struct seccomp_data for the test's virtual machine, which loads
// words in network byte order; of an argument it has the low word first, as the machines
// do that there are tables for.
func packet(arch, nr uint32, index int, arg uint64) []byte {
	b := make([]byte, 64)
	binary.BigEndian.PutUint32(b, nr)
	binary.BigEndian.PutUint32(b[4:], arch)
	binary.BigEndian.PutUint32(b[16+8*index:], uint32(arg))
	binary.BigEndian.PutUint32(b[20+8*index:], uint32(arg>>32))
	return b
}

// TestFilterAgreesWithTable runs the assembled filter on each number of each ABI,
// and on numbers that none has, and compares with the table.
func TestFilterAgreesWithTable(t *testing.T) {
	for _, goarch := range []string{"amd64", "arm64"} {
		t.Run(goarch, func(t *testing.T) {
			abis, err := seccomp.ABIs(goarch)
			if err != nil {
				t.Fatal(err)
			}
			vm := assembleFor(t, abis)
			for _, abi := range abis {
				for nr := range uint32(2048) {
					checkNumber(t, vm, abi, nr|abi.Bit)
				}
				for _, nr := range []uint32{0x0fffffff, 0x3fffffff, 0x7fffffff, 0xffffffff, 0x80000000, 0xc0000000} {
					checkNumber(t, vm, abi, nr|abi.Bit)
				}
			}
			const foreign = 0xc0000015 // AUDIT_ARCH_PPC64LE
			if got := run(t, vm, packet(foreign, 1, 0, 0)); got != retNotify {
				t.Errorf("a call of a foreign architecture gives %#x, want a notification", got)
			}
		})
	}
}

func assembleFor(t *testing.T, abis []*seccomp.ABI) *bpf.VM {
	t.Helper()
	raw, err := seccomp.Program(abis, filterRules(nil, nil))
	if err != nil {
		t.Fatal(err)
	}
	program, ok := bpf.Disassemble(raw)
	if !ok {
		t.Fatal("the filter has instructions that do not disassemble")
	}
	vm, err := bpf.NewVM(program)
	if err != nil {
		t.Fatal(err)
	}
	return vm
}

// checkNumber decides by the table alone, without the index that the product uses.
func checkNumber(t *testing.T, vm *bpf.VM, abi *seccomp.ABI, nr uint32) {
	t.Helper()
	name := abi.Syscall(nr)
	var want *Row
	for i := range Table {
		if Table[i].Name == name {
			want = &Table[i]
		}
	}
	var where *seccomp.Argument
	if want != nil {
		where = want.where
	}
	index := 0
	values := []uint64{0, 1, 2, 3, 4, 5, 11, 16, 20, 22, 1 << 31, 1 << 32}
	if where != nil {
		index = where.Index
		for _, v := range where.Values {
			values = append(values, uint64(v), uint64(v)|1<<32)
		}
	}
	for _, value := range values {
		expect := retAllow
		switch {
		case want == nil:
		case where != nil && len(where.Values) == 0 && value == 0:
		case where != nil && len(where.Values) > 0 && slices.Contains(where.Values, uint32(value)) == where.Except:
		default:
			expect = retNotify
		}
		if got := run(t, vm, packet(abi.Audit, nr, index, value)); got != expect {
			t.Errorf("%s number %#x (%s), argument %d is %#x: %#x, want %#x", abi.Name, nr, name, index, value, got, expect)
		}
	}
}

func run(t *testing.T, vm *bpf.VM, in []byte) int {
	t.Helper()
	got, err := vm.Run(in)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TestFilterBranchesOnNumberAlone keeps argument checks, which cost each call of
// that number, to the rows that say where.
func TestFilterBranchesOnNumberAlone(t *testing.T) {
	abis, err := seccomp.ABIs("amd64")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := seccomp.Program(abis, filterRules(nil, nil))
	if err != nil {
		t.Fatal(err)
	}
	program, _ := bpf.Disassemble(raw)
	loads := 0
	for _, in := range program {
		if load, ok := in.(bpf.LoadAbsolute); ok && load.Off >= 8 {
			loads++
		}
	}
	// i386's socketcall; in each ABI prctl, bpf, ioctl and sendmsg (of which x32 has
	// two), and both words of sendto's address.
	const want = 1 + 3 + 3 + 4 + 4 + 3*2
	if loads != want {
		t.Errorf("the filter loads arguments %d times, want %d", loads, want)
	}
}

// TestEveryRowIsKnown fails for a name that no ABI has: a misspelt row would
// silently notify nothing.
func TestEveryRowIsKnown(t *testing.T) {
	numbers := make(map[string]int)
	for _, goarch := range []string{"amd64", "arm64"} {
		abis, err := seccomp.ABIs(goarch)
		if err != nil {
			t.Fatal(err)
		}
		for _, abi := range abis {
			for i := range Table {
				numbers[Table[i].Name] += len(abi.Numbers(Table[i].Name))
			}
		}
	}
	seen := make(map[string]bool)
	for i := range Table {
		name := Table[i].Name
		if numbers[name] == 0 {
			t.Errorf("no ABI has a call named %s", name)
		}
		if seen[name] {
			t.Errorf("%s has two rows", name)
		}
		seen[name] = true
	}
}

// TestKnownNumbers pins a few numbers by hand, against tables that shift.
func TestKnownNumbers(t *testing.T) {
	known := []struct {
		goarch, abi, call string
		nr                uint32
	}{
		{"amd64", "x86_64", "openat", 257},
		{"amd64", "x86_64", "getdents64", 217},
		{"amd64", "x86_64", "statx", 332},
		{"amd64", "x86_64", "file_getattr", 468},
		{"amd64", "i386", "open", 5},
		{"amd64", "i386", "socketcall", 102},
		{"amd64", "i386", "file_setattr", 469},
		{"amd64", "x32", "openat", 257 | 1<<30},
		{"amd64", "x32", "execve", 520 | 1<<30},
		{"arm64", "aarch64", "newfstatat", 79},
		{"arm64", "aarch64", "openat", 56},
		{"arm64", "arm", "open", 5},
	}
	for _, k := range known {
		t.Run(fmt.Sprintf("%s/%s", k.abi, k.call), func(t *testing.T) {
			abis, err := seccomp.ABIs(k.goarch)
			if err != nil {
				t.Fatal(err)
			}
			for _, abi := range abis {
				if abi.Name == k.abi && abi.Syscall(k.nr) != k.call {
					t.Errorf("number %d is %q, want %q", k.nr, abi.Syscall(k.nr), k.call)
				}
			}
		})
	}
}
