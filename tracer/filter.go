package tracer

import (
	"encoding/binary"
	"runtime"
	"sync"

	"github.com/fstrace/fstrace/seccomp"
	"github.com/fstrace/fstrace/tracer/shim"
	"golang.org/x/sys/unix"
)

// conditions are on the arguments of calls that are notified in some cases only: what
// the others do names no file, and some programs make them often.
var conditions = map[string]*seccomp.Argument{
	"socketcall": {Index: 0, Values: socketcalls},
	"prctl":      {Index: 0, Values: []uint32{unix.PR_SET_SECCOMP}},
	"bpf":        {Index: 0, Values: []uint32{bpfObjPin, bpfObjGet, bpfLinkCreate}},
	"ioctl":      {Index: 1, Values: attributeRequests},
	"sendto":     {Index: 4}, // send(2) gives no address
	"sendmsg":    {Index: 2, Values: []uint32{shim.HandOverFlags}, Except: true},
}

// attributeRequests are the ioctls that change attributes of any file, as chattr(1) does:
// FS_IOC_SETFLAGS, which has another number for 32-bit programs, and FS_IOC_FSSETXATTR.
var attributeRequests = []uint32{unix.FS_IOC_SETFLAGS, 0x40046602, 0x401c5820}

// filterRules returns what the filter is to notify: the whole table.
func filterRules() []seccomp.Rule {
	rules := make([]seccomp.Rule, len(table))
	for i := range table {
		rules[i].Syscall = table[i].name
		rules[i].Where = conditions[table[i].name]
	}
	return rules
}

// An index finds the row of a notified call.
type index struct {
	abis []*seccomp.ABI // the native one first
	rows map[uint64]*row
}

// syscallIndex numbers the table for this machine's ABIs.
var syscallIndex = sync.OnceValues(func() (*index, error) {
	abis, err := seccomp.ABIs(runtime.GOARCH)
	if err != nil {
		return nil, err
	}
	x := &index{abis: abis, rows: make(map[uint64]*row, len(abis)*len(table))}
	for _, abi := range abis {
		for i := range table {
			for _, nr := range abi.Numbers(table[i].name) {
				x.rows[indexKey(abi.Audit, nr)] = &table[i]
			}
		}
	}
	return x, nil
})

func indexKey(audit, nr uint32) uint64 { return uint64(audit)<<32 | uint64(nr) }

// filter assembles the filter for this machine, as the kernel wants it: an array of
// struct sock_filter.
func (x *index) filter() ([]byte, error) {
	program, err := seccomp.Program(x.abis, filterRules())
	if err != nil {
		return nil, err
	}
	var b []byte
	for _, in := range program {
		b = binary.NativeEndian.AppendUint16(b, in.Op)
		b = append(b, in.Jt, in.Jf)
		b = binary.NativeEndian.AppendUint32(b, in.K)
	}
	return b, nil
}

// find returns the row and ABI of a call, or nil for one that the filter does
// not know.
func (x *index) find(d *seccomp.Data) (*row, *seccomp.ABI) {
	r := x.rows[indexKey(d.Arch, d.NR)]
	if r == nil {
		return nil, nil
	}
	for _, abi := range x.abis {
		if abi.Audit == d.Arch && d.NR&x32Bit == abi.Bit&x32Bit {
			return r, abi
		}
	}
	return nil, nil
}

// x32Bit tells x32's numbers from x86_64's, whose AUDIT_ARCH they share.
const x32Bit = 0x40000000

// narrow tells whether an ABI passes arguments in 32-bit registers.
func narrow(abi *seccomp.ABI) bool { return abi.Name == "i386" || abi.Name == "arm" }
