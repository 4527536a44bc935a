package tracer

import "golang.org/x/sys/unix"

// callRegisters are the registers of a tracee that has a system call behind it.
type callRegisters struct {
	regs   unix.PtraceRegs
	arch   uint32
	number uint32
}

// interruptedCall reads the registers of a stopped tracee. ok is false if it was
// not in a system call.
func interruptedCall(tid int) (r callRegisters, ok bool) {
	if err := unix.PtraceGetRegs(tid, &r.regs); err != nil || int64(r.regs.Orig_rax) < 0 {
		return r, false
	}
	r.number = uint32(r.regs.Orig_rax)
	const compatCS = 0x23 // __USER32_CS: the ABI of int $0x80 from 64-bit code is not told apart
	r.arch = unix.AUDIT_ARCH_X86_64
	if r.regs.Cs == compatCS {
		r.arch = unix.AUDIT_ARCH_I386
	}
	return r, true
}

func (r *callRegisters) result() int64 {
	if r.arch == unix.AUDIT_ARCH_I386 {
		return int64(int32(r.regs.Rax))
	}
	return int64(r.regs.Rax)
}

func (r *callRegisters) setResult(tid int, v int64) {
	r.regs.Rax = uint64(v)
	_ = unix.PtraceSetRegs(tid, &r.regs) // ESRCH: killed since
}
