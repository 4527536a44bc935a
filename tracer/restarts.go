package tracer

import (
	"encoding/binary"
	"runtime"
	"sync"
	"time"

	"github.com/fstrace/fstrace/seccomp"
	"github.com/fstrace/fstrace/tracer/internal/procfs"
	"github.com/fstrace/fstrace/tracer/internal/syscalls"
	"golang.org/x/sys/unix"
)

// A signal that a process ignores does not reach it, and interrupts none of its calls. A
// tracee gets it all the same, so that its tracer sees it: a call that sleeps is
// interrupted. Most start again by themselves if no handler has run, but some return
// EINTR after any signal: signal(7). They are made to start again where the signal is
// ignored.
//
// It is not known how long such a call has waited already, so it waits as long again as
// its timeout says. If it is interrupted once more it goes on as long as it has not
// waited for the whole of its timeout since the first time. Then it is left to return
// EINTR.

// A waitingCall is a call that returns EINTR after any signal, and where it has its
// timeout.
type waitingCall struct {
	timeout timeoutKind
	arg     int // the argument that it is in
}

type timeoutKind uint8

const (
	timeoutNone    timeoutKind = iota
	timeoutMillis              // an int, negative for none
	timeoutSpec                // a pointer to struct __kernel_timespec, NULL for none
	timeoutSpec32              // the same, with 32-bit numbers
	timeoutReceive             // SO_RCVTIMEO of a socket
	timeoutSend                // SO_SNDTIMEO
)

// waitingCalls are such calls by name.
var waitingCalls = map[string]waitingCall{
	"epoll_wait":             {timeoutMillis, 3},
	"epoll_pwait":            {timeoutMillis, 3},
	"epoll_pwait2":           {timeoutSpec, 3},
	"rt_sigtimedwait":        {timeoutSpec, 2},
	"rt_sigtimedwait_time64": {timeoutSpec, 2},
	"semop":                  {timeoutNone, 0},
	"semtimedop":             {timeoutSpec, 3},
	"semtimedop_time64":      {timeoutSpec, 3},
	"io_getevents":           {timeoutSpec, 4},
	"io_pgetevents":          {timeoutSpec, 4},
	"io_pgetevents_time64":   {timeoutSpec, 4},
	"read":                   {timeoutReceive, 0},
	"readv":                  {timeoutReceive, 0},
	"recvfrom":               {timeoutReceive, 0},
	"recvmsg":                {timeoutReceive, 0},
	"accept":                 {timeoutReceive, 0},
	"accept4":                {timeoutReceive, 0},
	"write":                  {timeoutSend, 0},
	"writev":                 {timeoutSend, 0},
	"sendto":                 {timeoutSend, 0},
	"sendmsg":                {timeoutSend, 0},
	"connect":                {timeoutSend, 0},
}

// waitingNumbers has them by architecture and number.
var waitingNumbers = sync.OnceValue(func() map[uint64]waitingCall {
	numbers := make(map[uint64]waitingCall)
	abis, err := seccomp.ABIs(runtime.GOARCH)
	if err != nil {
		return numbers
	}
	for _, abi := range abis {
		for name, call := range waitingCalls {
			if syscalls.Narrow(abi) && call.timeout == timeoutSpec && !timesAreWide[name] {
				call.timeout = timeoutSpec32
			}
			for _, nr := range abi.Numbers(name) {
				numbers[syscalls.Key(abi.Audit, nr)] = call
			}
		}
	}
	return numbers
})

// timesAreWide are the calls whose struct timespec has 64-bit numbers on every ABI.
var timesAreWide = map[string]bool{
	"epoll_pwait2": true, "rt_sigtimedwait_time64": true, "semtimedop_time64": true, "io_pgetevents_time64": true,
}

// restarts are the calls that were made to start again. It is for the tracer thread.
type restarts struct {
	memory procfs.Memory
	calls  map[int]again // by thread
	// stopped are threads that were in a group stop, which interrupts these calls
	// whether anybody traces or not. It shows no more when the next signal comes.
	stopped map[int]struct{}
}

// An again is a call with a timeout that was made to start again.
type again struct {
	number      uint32
	first, last time.Time
}

// maxAgain bounds the memory of what threads that have ended leave.
const maxAgain = 1 << 10

// groupStop is called for a thread that is stopped with its group.
func (w *restarts) groupStop(tid int) {
	if w.stopped == nil || len(w.stopped) >= maxAgain {
		w.stopped = make(map[int]struct{})
	}
	w.stopped[tid] = struct{}{}
}

// settle makes a call that has returned EINTR start again, if that is because of a signal
// that is ignored.
func (w *restarts) settle(tid int, sig unix.Signal, regs *callRegisters) {
	call, ok := waitingNumbers()[syscalls.Key(regs.arch, regs.number)]
	if !ok || !canRestart {
		return
	}
	if _, stopped := w.stopped[tid]; stopped {
		if sig != unix.SIGCONT { // which ends the stop
			delete(w.stopped, tid)
		}
		return
	}
	pid, ignored := ignores(tid, sig)
	if !ignored {
		return
	}
	timeout, ok := w.timeout(call, pid, tid, regs)
	if ok && w.goesOn(tid, regs.number, timeout, time.Now()) {
		regs.restart(tid)
	}
}

// goesOn reports whether a call of a thread is to start again; timeout is negative for
// none.
func (w *restarts) goesOn(tid int, number uint32, timeout time.Duration, now time.Time) bool {
	if timeout < 0 {
		delete(w.calls, tid)
		return true
	}
	a, ok := w.calls[tid]
	switch {
	case !ok || a.number != number || now.Sub(a.last) > timeout: // another call
		if w.calls == nil || len(w.calls) >= maxAgain {
			w.calls = make(map[int]again)
		}
		a = again{number: number, first: now}
	case now.Sub(a.first) >= timeout:
		delete(w.calls, tid)
		return false
	}
	a.last = now
	w.calls[tid] = a
	return true
}

// timeout reads how long a call waits, negative for no limit. ok is false if that cannot
// be found out.
func (w *restarts) timeout(call waitingCall, pid, tid int, regs *callRegisters) (d time.Duration, ok bool) {
	const forever = -1
	arg := regs.arg(call.arg)
	switch call.timeout {
	case timeoutNone:
		return forever, true
	case timeoutMillis:
		if ms := int32(arg); ms >= 0 {
			return time.Duration(ms) * time.Millisecond, true
		}
		return forever, true
	case timeoutSpec, timeoutSpec32:
		if arg == 0 {
			return forever, true
		}
		size := 16
		if call.timeout == timeoutSpec32 {
			size = 8
		}
		b, err := w.memory.Bytes(tid, arg, size)
		if err != nil {
			return 0, false
		}
		if size == 8 {
			return time.Duration(int32(binary.NativeEndian.Uint32(b)))*time.Second + time.Duration(int32(binary.NativeEndian.Uint32(b[4:]))), true
		}
		return time.Duration(binary.NativeEndian.Uint64(b))*time.Second + time.Duration(binary.NativeEndian.Uint64(b[8:])), true
	case timeoutReceive:
		return socketTimeout(pid, int(int32(arg)), unix.SO_RCVTIMEO)
	case timeoutSend:
		return socketTimeout(pid, int(int32(arg)), unix.SO_SNDTIMEO)
	}
	return 0, false
}

// socketTimeout asks for the timeout of another process's socket. What is no socket
// has none.
func socketTimeout(pid, fd, option int) (d time.Duration, ok bool) {
	process, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return 0, false
	}
	defer unix.Close(process)
	socket, err := unix.PidfdGetfd(process, fd, 0)
	if err != nil {
		return 0, false
	}
	defer unix.Close(socket)
	tv, err := unix.GetsockoptTimeval(socket, unix.SOL_SOCKET, option)
	switch {
	case err == unix.ENOTSOCK, err == nil && *tv == unix.Timeval{}:
		return -1, true
	case err != nil:
		return 0, false
	}
	return time.Duration(tv.Nano()), true
}

// ignores reports whether a thread's process ignores a signal, by choice or by default:
// signal(7).
func ignores(tid int, sig unix.Signal) (pid int, ignored bool) {
	st, err := procfs.ReadStatus(tid)
	if err != nil {
		return 0, false
	}
	byDefault := sig == unix.SIGCHLD || sig == unix.SIGURG || sig == unix.SIGWINCH || sig == unix.SIGCONT
	bit := uint64(1) << (sig - 1)
	return st.TGID, st.Ignored&bit != 0 || byDefault && st.Caught&bit == 0
}
