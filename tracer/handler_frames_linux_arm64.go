package tracer

import (
	"encoding/binary"

	"github.com/fstrace/fstrace/tracer/internal/procfs"
	"github.com/fstrace/fstrace/tracer/internal/sys"
	"golang.org/x/sys/unix"
)

// On arm64 the kernel prepares the restart of a call that a signal has interrupted
// before the tracer sees the signal: the program counter is back at the SVC instruction,
// and the first argument is in its register. After the tracer's stop it turns the call's
// result into EINTR if the signal's handler was installed without SA_RESTART, and saves
// that in the frame which it puts on the stack for the handler (do_signal in
// arch/arm64/kernel/signal.c, since Linux 3.15). The tracer has no say in this.
//
// So the tracer corrects the frame. It delivers the signal by PTRACE_SINGLESTEP: the
// kernel then stops the thread when the frame is made, before the handler's first
// instruction (signal_delivered in kernel/signal.c; on arm64 with a handler that has
// SIGTRAP blocked, too, since Linux 5.8). If the saved result is EINTR the tracer puts
// the first argument and the program counter back, as they were in the stop before. The
// signal is delivered once, at its time: none is taken back and sent again.

// handlerFrames are the frames to correct. It is for the tracer thread.
type handlerFrames struct {
	steps map[int]handlerStep // by thread
}

// A handlerStep is a signal that is about to be delivered, or has been, and what its
// handler's frame must say.
type handlerStep struct {
	sig      unix.Signal
	regs     callRegisters
	stepping bool // it is being delivered
}

// restart notes that a call must run again after the handler of a signal.
func (h *handlerFrames) restart(tid int, sig unix.Signal, regs *callRegisters) {
	st, err := procfs.ReadStatus(tid)
	if err != nil || st.Caught>>(sig-1)&1 == 0 {
		return // without a handler the kernel restarts it
	}
	if h.steps == nil {
		h.steps = make(map[int]handlerStep)
	}
	h.steps[tid] = handlerStep{sig: sig, regs: *regs}
}

// step resumes a thread if the frame of the signal that is delivered must be corrected.
func (h *handlerFrames) step(tid int, sig unix.Signal) bool {
	s, ok := h.steps[tid]
	if !ok {
		return false
	}
	if s.stepping || s.sig != sig {
		delete(h.steps, tid)
		return false
	}
	s.stepping = true
	h.steps[tid] = s
	if errno := sys.PtraceCall(unix.PTRACE_SINGLESTEP, tid, 0, uintptr(sig)); errno != 0 {
		delete(h.steps, tid) // ESRCH: killed since
	}
	return true
}

// stepNow is step for a thread that is about to be detached. It returns true when the
// thread has the signal, its frame is corrected, and it is stopped.
func (h *handlerFrames) stepNow(tid int, sig unix.Signal) bool {
	if !h.step(tid, sig) {
		return false
	}
	for {
		// WNOWAIT: the wait of the tracer thread must still get the process's end.
		err := unix.Waitid(unix.P_PID, tid, nil, unix.WEXITED|unix.WSTOPPED|unix.WALL|unix.WNOWAIT, nil)
		if err == nil || err != unix.EINTR {
			break
		}
	}
	var ws unix.WaitStatus
	got, _ := unix.Wait4(tid, &ws, unix.WALL|unix.WNOHANG|unix.WUNTRACED, nil)
	return got == tid && h.stopped(&waitEvent{tid: tid, status: ws})
}

// stopped reports whether an event is the stop at the handler, after correcting its
// frame. Nothing else may use it.
func (h *handlerFrames) stopped(e *waitEvent) bool {
	s, ok := h.steps[e.tid]
	if !ok {
		return false
	}
	delete(h.steps, e.tid)
	if !s.stepping || e.kind() != evSignal || e.status.StopSignal() != unix.SIGTRAP {
		return false
	}
	var info [16]uint64 // siginfo_t
	if errno := sys.PtraceWords(unix.PTRACE_GETSIGINFO, e.tid, info[:]); errno != 0 {
		return true // ESRCH: killed since
	}
	// trapTrace says that there was no handler any more, and one instruction has run.
	const trapHandler, trapTrace = int32(unix.SIGTRAP), 2
	switch int32(info[1]) { // si_code
	case trapHandler:
		s.regs.correctFrame(e.tid)
		return true
	case trapTrace:
		return true
	}
	return false
}

// Where the frame of a handler has the saved registers, from the stack pointer: struct
// rt_sigframe; and of 32-bit programs struct compat_rt_sigframe, after which struct
// compat_sigframe, without the siginfo_t, has them earlier and begins with a mark.
const (
	frameX0, framePC         = 312, 568
	frameCompat, frameSkip   = 32, 128
	frameCompatPC, frameMark = 92, 0x5ac3c35a
)

// correctFrame makes the handler's return run the call again, if the frame says EINTR.
func (r *callRegisters) correctFrame(tid int) {
	now, ok := interruptedCall(tid)
	if !ok || now.arch != r.arch {
		return
	}
	sp, size, x0, pc := uintptr(now.sp()), 8, uintptr(frameX0), uintptr(framePC)
	if r.narrow() {
		size, x0, pc = 4, frameCompat, frameCompatPC
		if mark, ok := peek(tid, sp, size); !ok || mark != frameMark {
			x0, pc = x0+frameSkip, pc+frameSkip
		}
	}
	result, ok1 := peek(tid, sp+x0, size)
	saved, ok2 := peek(tid, sp+pc, size)
	if !ok1 || !ok2 || saved != r.pc()+r.svcSize() || int32(result) != -int32(unix.EINTR) {
		return // the handler has SA_RESTART, or the thread was not in a call
	}
	poke(tid, sp+x0, size, uint64(r.result()))
	poke(tid, sp+pc, size, r.pc())
}

// peek reads a word of a stopped thread's memory.
func peek(tid int, addr uintptr, size int) (v uint64, ok bool) {
	var b [8]byte
	n, err := unix.PtracePeekData(tid, addr, b[:size])
	return binary.LittleEndian.Uint64(b[:]), err == nil && n == size
}

// poke writes one. ESRCH: killed since.
func poke(tid int, addr uintptr, size int, v uint64) {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], v)
	_, _ = unix.PtracePokeData(tid, addr, b[:size])
}
