package tracer

import "golang.org/x/sys/unix"

// callRegisters are the registers of a tracee that has a system call behind it.
type callRegisters struct {
	user   unix.PtraceRegsArm64
	arch   uint32
	number uint32
}

const regSyscall = 8 // X8 holds the call's number, and keeps it

// interruptedCall reads the registers of a stopped tracee. ok is false if they
// cannot be read. For a tracee that was not in a system call, and for 32-bit
// tracees, whose register set is another, the result says that nothing was
// interrupted.
func interruptedCall(tid int) (r callRegisters, ok bool) {
	if err := unix.PtraceGetRegSetArm64(tid, ntPRStatus, &r.user); err != nil {
		return r, false
	}
	r.number, r.arch = uint32(r.user.Regs[regSyscall]), unix.AUDIT_ARCH_AARCH64
	return r, true
}

const ntPRStatus = 1 // NT_PRSTATUS: elf.h

// result returns what the call has returned so far.
func (r *callRegisters) result() int64 { return int64(r.user.Regs[0]) }

// setResult changes it.
func (r *callRegisters) setResult(tid int, v int64) {
	r.user.Regs[0] = uint64(v)
	_ = unix.PtraceSetRegSetArm64(tid, ntPRStatus, &r.user) // ESRCH: killed since
}

// arg returns an argument of the call. The first one is gone: its register has the
// result.
func (r *callRegisters) arg(n int) uint64 { return r.user.Regs[n] }

// restart does nothing here: the kernel has put the call's result over its first
// argument, and does not give that to a tracer.
func (*callRegisters) restart(int) {}

const canRestart = false
