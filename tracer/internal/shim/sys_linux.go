package shim

import (
	"encoding/binary"
	"syscall"
	"unsafe"
)

// stubAddress returns where the stub's code is: stub_linux_*.s.
func stubAddress() unsafe.Pointer

// stubBytes returns the first n bytes of the stub's code.
func stubBytes(n int) []byte { return unsafe.Slice((*byte)(stubAddress()), n) }

// prctl is raw, as all calls here that concern the calling thread.
func prctl(option, arg uintptr) syscall.Errno {
	_, _, errno := syscall.RawSyscall6(syscall.SYS_PRCTL, option, arg, 0, 0, 0, 0)
	return errno
}

// slackAction returns the addresses of a signal handler and its restorer, 0 for none:
// slack_linux_*.s.
func slackAction() (handler, restorer uintptr)

// setSlackHandler has a signal restore the timer slack of the thread that gets it.
func setSlackHandler(sig syscall.Signal) syscall.Errno {
	const onStack, restart, hasRestorer = 0x08000000, 0x10000000, 0x04000000 // SA_*
	action := kernelSigaction{flags: onStack | restart, mask: ^uint64(0)}
	action.handler, action.restorer = slackAction()
	if action.restorer != 0 {
		action.flags |= hasRestorer
	}
	_, _, errno := syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(&action)), 0, 8, 0, 0)
	return errno
}

// kernelSigaction is the kernel's own struct sigaction, which is not libc's.
type kernelSigaction struct {
	handler  uintptr
	flags    uint64
	restorer uintptr
	mask     uint64
}

// bytes returns the structure with a handler that is no function.
func (a kernelSigaction) bytes() []byte {
	b := make([]byte, unsafe.Sizeof(a))
	binary.NativeEndian.PutUint64(b, uint64(a.handler))
	return b
}

// Dispositions: signal(7).
const (
	SignalDefault = 0
	SignalIgnore  = 1
)

// signalHandler returns a signal's disposition: SignalDefault, SignalIgnore or an
// address.
func signalHandler(sig int) (uintptr, syscall.Errno) {
	var old kernelSigaction
	_, _, errno := syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(sig), 0, uintptr(unsafe.Pointer(&old)), 8, 0, 0)
	return old.handler, errno
}

// SetSignalHandler sets a signal's disposition behind the Go runtime's back: for
// a process that is about to end.
func SetSignalHandler(sig int, handler uintptr) syscall.Errno {
	action := kernelSigaction{handler: handler}
	_, _, errno := syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(&action)), 0, 8, 0, 0)
	return errno
}

// SignalMask sets the calling thread's mask, if set is not nil, and returns the
// one it had.
func SignalMask(set *uint64) (old uint64, errno syscall.Errno) {
	const setMask = 2 // SIG_SETMASK
	_, _, errno = syscall.RawSyscall6(syscall.SYS_RT_SIGPROCMASK, setMask,
		uintptr(unsafe.Pointer(set)), uintptr(unsafe.Pointer(&old)), 8, 0, 0)
	return old, errno
}
