package tracer

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// callRegisters are the registers of a tracee that has a system call behind it.
type callRegisters struct {
	regs   unix.PtraceRegsArm64
	arch   uint32
	number uint32
}

// interruptedCall reads the registers of a stopped tracee. ok is false if it was
// not in a system call. 32-bit tracees are left alone: their register set is
// another.
func interruptedCall(tid int) (r callRegisters, ok bool) {
	if err := unix.PtraceGetRegSetArm64(tid, unix.NT_PRSTATUS, &r.regs); err != nil {
		return r, false
	}
	var number [4]byte
	if err := getRegSet(tid, ntARMSystemCall, number[:]); err != nil {
		return r, false
	}
	r.number = binary.NativeEndian.Uint32(number[:])
	r.arch = unix.AUDIT_ARCH_AARCH64
	return r, int32(r.number) >= 0
}

const ntARMSystemCall = 0x404 // NT_ARM_SYSTEM_CALL

func (r *callRegisters) result() int64 { return int64(r.regs.Regs[0]) }

func (r *callRegisters) setResult(tid int, v int64) {
	r.regs.Regs[0] = uint64(v)
	_ = unix.PtraceSetRegSetArm64(tid, unix.NT_PRSTATUS, &r.regs) // ESRCH: killed since
}
