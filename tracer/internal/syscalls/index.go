package syscalls

import (
	"encoding/binary"
	"runtime"
	"slices"
	"sync"

	"github.com/fstrace/fstrace/seccomp"
)

// filterRules returns what the filter is to notify: the whole table. Those calls of keyed
// that carry the key are not, if there is one.
func filterRules(key *seccomp.Key, keyed []string) []seccomp.Rule {
	rules := make([]seccomp.Rule, len(Table))
	for i := range Table {
		rules[i].Syscall = Table[i].Name
		rules[i].Where = Table[i].where
		if slices.Contains(keyed, Table[i].Name) {
			rules[i].Key = key
		}
	}
	return rules
}

// An Index finds the row of a notified call.
type Index struct {
	abis []*seccomp.ABI // the native one first
	rows [][]*Row       // for each of abis, by number without its bit
}

// NewIndex numbers the table for this machine's ABIs.
var NewIndex = sync.OnceValues(func() (*Index, error) {
	abis, err := seccomp.ABIs(runtime.GOARCH)
	if err != nil {
		return nil, err
	}
	byName := make(map[string]*Row, len(Table))
	for i := range Table {
		byName[Table[i].Name] = &Table[i]
	}
	x := &Index{abis: abis, rows: make([][]*Row, len(abis))}
	for i, abi := range abis {
		rows := make([]*Row, 0, 512)
		for nr, name := range abi.Calls() {
			if row := byName[name]; row != nil {
				nr &^= abi.Bit
				rows = append(rows, make([]*Row, int(nr)+1-len(rows))...)
				rows[nr] = row
			}
		}
		x.rows[i] = rows
	}
	return x, nil
})

// Key combines an architecture (AUDIT_ARCH_*) and a call's number.
func Key(audit, nr uint32) uint64 { return uint64(audit)<<32 | uint64(nr) }

// Filter returns the filter for this machine, as the kernel wants it: an array of struct
// sock_filter. Those calls of keyed that carry the key pass it, if key is not nil.
//
// The filter without a key is a constant (plain_filter_*.go): to assemble it was a
// twentieth of the processor time of fstrace -- true.
func (x *Index) Filter(key *seccomp.Key, keyed []string) (string, error) {
	if key == nil {
		return plainFilter, nil
	}
	return assemble(x.abis, key, keyed)
}

func assemble(abis []*seccomp.ABI, key *seccomp.Key, keyed []string) (string, error) {
	program, err := seccomp.Program(abis, filterRules(key, keyed))
	if err != nil {
		return "", err
	}
	var b []byte
	for _, in := range program {
		b = binary.NativeEndian.AppendUint16(b, in.Op)
		b = append(b, in.Jt, in.Jf)
		b = binary.NativeEndian.AppendUint32(b, in.K)
	}
	return string(b), nil
}

// Native returns the machine's own ABI.
func (x *Index) Native() *seccomp.ABI { return x.abis[0] }

// Row returns the row of a call, nil for one that the filter does not know.
func (x *Index) Row(audit, nr uint32) *Row {
	row, _ := x.Find(&seccomp.Data{Arch: audit, NR: nr})
	return row
}

// Find returns the row and ABI of a call, or nil for one that the filter does
// not know.
func (x *Index) Find(d *seccomp.Data) (*Row, *seccomp.ABI) {
	for i, abi := range x.abis {
		if abi.Audit != d.Arch || d.NR&x32Bit != abi.Bit&x32Bit {
			continue
		}
		if nr, rows := d.NR&^abi.Bit, x.rows[i]; uint64(nr) < uint64(len(rows)) && rows[nr] != nil {
			return rows[nr], abi
		}
		return nil, nil
	}
	return nil, nil
}

// x32Bit is set in the numbers of x32, which has the AUDIT_ARCH of x86_64.
const x32Bit = 0x40000000

// Narrow reports whether an ABI passes arguments in 32-bit registers.
func Narrow(abi *seccomp.ABI) bool { return abi.Name == "i386" || abi.Name == "arm" }
