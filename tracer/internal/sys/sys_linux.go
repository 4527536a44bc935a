// Package sys has system calls that golang.org/x/sys/unix lacks, or for which it
// allocates memory. Paths are NUL-terminated bytes.
package sys

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// TrimNUL returns a path without the NUL behind it.
func TrimNUL(b []byte) []byte { return b[:len(b)-1] }

// ProcessVMReadv copies from the memory of a thread's process: process_vm_readv(2),
// Linux 3.2. It stops at the first page that cannot be read: fewer bytes than
// asked for, or EFAULT if there are none.
func ProcessVMReadv(tid int, addr uint64, buf []byte) (int, unix.Errno) {
	if len(buf) == 0 {
		return 0, 0
	}
	local := unix.Iovec{Base: &buf[0], Len: uint64(len(buf))}
	remote := unix.RemoteIovec{Base: uintptr(addr), Len: len(buf)}
	n, _, errno := unix.Syscall6(unix.SYS_PROCESS_VM_READV, uintptr(tid),
		uintptr(unsafe.Pointer(&local)), 1, uintptr(unsafe.Pointer(&remote)), 1, 0)
	runtime.KeepAlive(buf)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

// Readlinkat reads a symbolic link by a NUL-terminated path, without allocating.
func Readlinkat(dir int, path, buf []byte) (int, unix.Errno) {
	n, _, errno := unix.Syscall6(unix.SYS_READLINKAT, uintptr(dir),
		uintptr(unsafe.Pointer(&path[0])), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)), 0, 0)
	runtime.KeepAlive(path)
	runtime.KeepAlive(buf)
	if errno != 0 {
		return 0, errno // not -1: callers slice by it
	}
	return int(n), 0
}

// Openat opens a NUL-terminated path, without allocating.
func Openat(dir int, path []byte, flags int) (int, unix.Errno) {
	fd, _, errno := unix.Syscall6(unix.SYS_OPENAT, uintptr(dir), uintptr(unsafe.Pointer(&path[0])), uintptr(flags), 0, 0, 0)
	runtime.KeepAlive(path)
	if errno != 0 {
		return -1, errno
	}
	return int(fd), 0
}

// Fstatat looks at a NUL-terminated path, without allocating.
func Fstatat(dir int, path []byte, st *unix.Stat_t, flags int) unix.Errno {
	_, _, errno := unix.Syscall6(sysFstatat, uintptr(dir),
		uintptr(unsafe.Pointer(&path[0])), uintptr(unsafe.Pointer(st)), uintptr(flags), 0, 0)
	runtime.KeepAlive(path)
	return errno
}

// PtraceCall issues one ptrace(2) request whose arguments are numbers.
func PtraceCall(request, tid int, addr, data uintptr) unix.Errno {
	_, _, errno := unix.RawSyscall6(unix.SYS_PTRACE, uintptr(request), uintptr(tid), addr, data, 0, 0)
	return errno
}

// PtraceEventMessage fetches the message of a stop: PTRACE_GETEVENTMSG.
func PtraceEventMessage(tid int) (uint64, unix.Errno) {
	var msg uint64
	_, _, errno := unix.RawSyscall6(unix.SYS_PTRACE, unix.PTRACE_GETEVENTMSG, uintptr(tid), 0,
		uintptr(unsafe.Pointer(&msg)), 0, 0)
	return msg, errno
}

// MapWords maps the first n words of a file, shared, to be written or read by several
// processes.
func MapWords(fd, n int) ([]uint64, error) {
	p, err := unix.MmapPtr(fd, 0, nil, uintptr(8*n), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	return unsafe.Slice((*uint64)(p), n), nil
}

// UnmapWords undoes mapWords, given the first word and their number.
func UnmapWords(w *uint64, n int) error { return unix.MunmapPtr(unsafe.Pointer(w), uintptr(8*n)) }

// PtraceWords issues a ptrace(2) request that reads or writes machine words.
func PtraceWords(request, tid int, words []uint64) unix.Errno {
	_, _, errno := unix.RawSyscall6(unix.SYS_PTRACE, uintptr(request), uintptr(tid), 0,
		uintptr(unsafe.Pointer(&words[0])), 0, 0)
	return errno
}

// PtraceRegisters reads a register set of a stopped tracee, and returns how many bytes it
// has: PTRACE_GETREGSET.
func PtraceRegisters(tid, set int, words []uint64) (int, unix.Errno) {
	v := unix.Iovec{Base: (*byte)(unsafe.Pointer(&words[0]))}
	v.SetLen(8 * len(words))
	_, _, errno := unix.RawSyscall6(unix.SYS_PTRACE, unix.PTRACE_GETREGSET, uintptr(tid), uintptr(set),
		uintptr(unsafe.Pointer(&v)), 0, 0)
	return int(v.Len), errno
}

// PtraceSigmask reads the signals that a tracee blocks, PTRACE_GETSIGMASK, or sets them,
// PTRACE_SETSIGMASK: Linux 3.11.
func PtraceSigmask(request, tid int, mask *uint64) unix.Errno {
	_, _, errno := unix.RawSyscall6(unix.SYS_PTRACE, uintptr(request), uintptr(tid), unsafe.Sizeof(*mask),
		uintptr(unsafe.Pointer(mask)), 0, 0)
	return errno
}
