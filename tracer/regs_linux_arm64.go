package tracer

import (
	"github.com/fstrace/fstrace/tracer/internal/sys"
	"golang.org/x/sys/unix"
)

// callRegisters are the registers of a tracee that has made a system call.
type callRegisters struct {
	user   [34]uint64 // struct user_pt_regs; struct compat_user_regs of a 32-bit tracee
	arch   uint32
	number uint32
}

// Where they are: user_pt_regs has 31 registers first, compat_user_regs 16 of 32 bits.
const (
	regSyscall, regSP, regPC                   = 8, 31, 32
	regSyscall32, regSP32, regPC32, regFlags32 = 7, 13, 15, 16
)

const (
	ntPRStatus   = 1      // NT_PRSTATUS: elf.h
	compatLength = 18 * 4 // of compat_user_regs
)

// interruptedCall reads the registers of a stopped tracee. ok is false if they cannot be
// read. It does not show whether the thread was in a system call: interrupted does.
func interruptedCall(tid int) (r callRegisters, ok bool) {
	n, errno := sys.PtraceRegisters(tid, ntPRStatus, r.user[:])
	if errno != 0 {
		return r, false
	}
	r.number, r.arch = uint32(r.user[regSyscall]), unix.AUDIT_ARCH_AARCH64
	if n == compatLength {
		r.arch = unix.AUDIT_ARCH_ARM
		r.number = r.reg32(regSyscall32)
	}
	return r, true
}

// narrow reports whether the tracee is a 32-bit one.
func (r *callRegisters) narrow() bool { return r.arch == unix.AUDIT_ARCH_ARM }

// reg32 returns a register of a 32-bit tracee.
func (r *callRegisters) reg32(n int) uint32 { return uint32(r.user[n/2] >> (n % 2 * 32)) }

// sp returns the stack pointer.
func (r *callRegisters) sp() uint64 {
	if r.narrow() {
		return uint64(r.reg32(regSP32))
	}
	return r.user[regSP]
}

// pc returns the program counter.
func (r *callRegisters) pc() uint64 {
	if r.narrow() {
		return uint64(r.reg32(regPC32))
	}
	return r.user[regPC]
}

// svcSize returns the size of the instruction that makes a call. In Thumb state it has
// two bytes.
func (r *callRegisters) svcSize() uint64 {
	const thumb = 1 << 5
	if r.narrow() && r.reg32(regFlags32)&thumb != 0 {
		return 2
	}
	return 4
}

// interrupted reports whether the tracee stands at the instruction that makes a call: a
// signal has interrupted it, and the kernel has prepared its restart; or it comes before
// the call.
func (r *callRegisters) interrupted(tid int) bool {
	size := r.svcSize()
	instruction, ok := peek(tid, uintptr(r.pc()), int(size))
	switch {
	case !ok:
		return false
	case !r.narrow():
		return instruction == 0xd4000001
	case size == 2:
		return instruction&0xff00 == 0xdf00
	}
	return instruction&0x0f000000 == 0x0f000000
}

// result returns what the call has returned so far, or its first argument if the kernel
// has prepared its restart.
func (r *callRegisters) result() int64 {
	if r.narrow() {
		return int64(int32(r.reg32(0)))
	}
	return int64(r.user[0])
}

// arg returns an argument of the call. The first one is gone: its register has the
// result.
func (r *callRegisters) arg(n int) uint64 { return r.user[n] }

// restart does nothing here: the kernel has put the call's result over its first
// argument, and does not give that to a tracer.
func (*callRegisters) restart(int) {}

const canRestart = false
