package tracer

import (
	"github.com/fstrace/fstrace/tracer/internal/sys"
	"golang.org/x/sys/unix"
)

// callRegisters are the registers of a tracee that has made a system call.
type callRegisters struct {
	user   [27]uint64 // struct user_regs_struct
	arch   uint32
	number uint32
}

// Where struct user_regs_struct keeps what is read: sys/user.h.
const (
	regRAX     = 10
	regOrigRAX = 15
	regCS      = 17
)

// interruptedCall reads the registers of a stopped tracee. ok is false if it was
// not in a system call.
//
// PTRACE_GETREGS gives 32-bit tracees' registers in the 64-bit layout too, where
// PTRACE_GETREGSET gives them their own.
func interruptedCall(tid int) (r callRegisters, ok bool) {
	if errno := sys.PtraceWords(unix.PTRACE_GETREGS, tid, r.user[:]); errno != 0 {
		return r, false
	}
	r.number = uint32(r.user[regOrigRAX])
	if int32(r.number) < 0 {
		return r, false
	}
	const compatCS = 0x23 // __USER32_CS: the ABI of int $0x80 from 64-bit code is not told apart
	r.arch = unix.AUDIT_ARCH_X86_64
	if r.user[regCS] == compatCS {
		r.arch = unix.AUDIT_ARCH_I386
	}
	return r, true
}

// result returns what the call has returned so far.
func (r *callRegisters) result() int64 {
	if r.arch == unix.AUDIT_ARCH_I386 {
		return int64(int32(r.user[regRAX]))
	}
	return int64(r.user[regRAX])
}

// interrupted reports whether a signal has interrupted the call, which runs again only if
// the signal's handler has SA_RESTART.
func (r *callRegisters) interrupted(int) bool { return r.result() == restartSys }

// setResult changes the result.
func (r *callRegisters) setResult(tid int, v int64) {
	r.user[regRAX] = uint64(v)
	_ = sys.PtraceWords(unix.PTRACE_SETREGS, tid, r.user[:]) // ESRCH: killed since
}

// Where the arguments of a call are: syscall(2).
var (
	argRegisters     = [...]int{14, 13, 12, 7, 9, 8}  // rdi rsi rdx r10 r8 r9
	argRegistersI386 = [...]int{5, 11, 12, 13, 14, 4} // ebx ecx edx esi edi ebp
)

// arg returns an argument of the call.
func (r *callRegisters) arg(n int) uint64 {
	if r.arch == unix.AUDIT_ARCH_I386 {
		return uint64(uint32(r.user[argRegistersI386[n]]))
	}
	return r.user[argRegisters[n]]
}

// restart makes a call that was interrupted run again, unless a handler runs first.
func (r *callRegisters) restart(tid int) { r.setResult(tid, restartNoHandler) }

const canRestart = true
