package shim

import (
	"runtime"
	"syscall"
	"unsafe"
)

// These calls are raw: the Go scheduler does not get to know of them (doc.go).

// rawRead is read(2).
func rawRead(fd int, b []byte) (int, error) {
	n, _, errno := syscall.RawSyscall(syscall.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

func closeOnExec(fd int) {
	_, _, _ = syscall.RawSyscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_SETFD, syscall.FD_CLOEXEC)
}

func chdir(dir string) error {
	name, err := syscall.BytePtrFromString(dir)
	if err != nil {
		return err
	}
	if _, _, errno := syscall.RawSyscall(syscall.SYS_CHDIR, uintptr(unsafe.Pointer(name)), 0, 0); errno != 0 {
		return errno
	}
	return nil
}

func prctl(option, arg uintptr) syscall.Errno {
	_, _, errno := syscall.RawSyscall6(syscall.SYS_PRCTL, option, arg, 0, 0, 0, 0)
	return errno
}

// setFilter issues seccomp(SECCOMP_SET_MODE_FILTER) on the calling thread and returns
// the listener.
func setFilter(flags uintptr, filter []byte) (listener int, errno syscall.Errno) {
	prog := struct { // struct sock_fprog
		len    uint16
		filter *byte
	}{uint16(len(filter) / instructionSize), unsafe.SliceData(filter)}
	fd, _, errno := syscall.RawSyscall(sysSeccomp, setModeFilter, flags, uintptr(unsafe.Pointer(&prog)))
	runtime.KeepAlive(filter)
	if errno != 0 {
		return -1, errno
	}
	return int(fd), 0
}

// kernelSigaction is the kernel's own struct sigaction, which is not libc's.
type kernelSigaction struct {
	handler  uintptr
	flags    uint64
	restorer uintptr
	mask     uint64
}

// Dispositions: signal(7).
const (
	SignalDefault = 0
	SignalIgnore  = 1
)

// signalHandler returns a signal's disposition: SignalDefault, SignalIgnore or an address.
func signalHandler(sig int) (uintptr, syscall.Errno) {
	var old kernelSigaction
	_, _, errno := syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(sig), 0, uintptr(unsafe.Pointer(&old)), 8, 0, 0)
	return old.handler, errno
}

// SetSignalHandler sets a signal's disposition behind the Go runtime's back: for
// a process that is about to exec, or to end.
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
