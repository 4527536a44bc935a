package seccomp

import (
	"runtime"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// linux/seccomp.h, as seccomp(2) and seccomp_unotify(2) describe it.
const (
	setModeFilter     = 1
	getActionAvail    = 2
	getNotifSizes     = 3
	flagSpecAllow     = 1 << 2 // Linux 4.17
	flagNewListener   = 1 << 3 // Linux 5.0
	flagWaitKillable  = 1 << 5 // Linux 5.19
	userNotifContinue = 1      // Linux 5.5

	userNotifSyncWakeUp = 1 // Linux 6.6

	ioctlRecv     = 0xc0502100 // SECCOMP_IOCTL_NOTIF_RECV
	ioctlSend     = 0xc0182101 // SECCOMP_IOCTL_NOTIF_SEND
	ioctlIDValid  = 0x40082102 // SECCOMP_IOCTL_NOTIF_ID_VALID
	ioctlAddFD    = 0x40182103 // SECCOMP_IOCTL_NOTIF_ADDFD, Linux 5.9
	ioctlSetFlags = 0x40082104 // SECCOMP_IOCTL_NOTIF_SET_FLAGS
)

// response is struct seccomp_notif_resp.
type response struct {
	id    uint64
	val   int64
	error int32
	flags uint32
}

// addition is struct seccomp_notif_addfd.
type addition struct {
	id         uint64
	flags      uint32
	srcFD      uint32
	newFD      uint32
	newFDFlags uint32
}

// notifSizes is struct seccomp_notif_sizes.
type notifSizes struct {
	notif, resp, data uint16
}

// recvBuffer is where the kernel writes notifications: as large as the running
// kernel's structure, which may have grown beyond the one known here.
type recvBuffer struct {
	words []uint64 // for alignment
}

func newRecvBuffer() (*recvBuffer, error) {
	var sizes notifSizes
	_, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, getNotifSizes, 0, uintptr(unsafe.Pointer(&sizes)))
	if errno != 0 {
		return nil, errno
	}
	size := max(uintptr(sizes.notif), unsafe.Sizeof(Notification{}))
	return &recvBuffer{words: make([]uint64, (size+7)/8)}, nil
}

// receive issues one NOTIF_RECV. The kernel wants the buffer zeroed. It blocks,
// so the Go scheduler must know of it.
func (b *recvBuffer) receive(fd int, n *Notification) unix.Errno {
	clear(b.words)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), ioctlRecv, uintptr(unsafe.Pointer(&b.words[0])))
	if errno == 0 {
		*n = *(*Notification)(unsafe.Pointer(&b.words[0]))
	}
	return errno
}

// sendReply issues one NOTIF_SEND. It is short: no word to the Go scheduler.
func sendReply(fd int, r *response) unix.Errno {
	_, _, e := unix.RawSyscall(unix.SYS_IOCTL, uintptr(fd), ioctlSend, uintptr(unsafe.Pointer(r)))
	return e
}

// addFD issues one NOTIF_ADDFD, and returns the caller's number of the descriptor. It
// waits for the caller to be woken up.
func addFD(fd int, id uint64, file int) (int, unix.Errno) {
	a := addition{id: id, srcFD: uint32(file), newFDFlags: unix.O_CLOEXEC}
	n, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), ioctlAddFD, uintptr(unsafe.Pointer(&a)))
	return int(n), e
}

func ioctlID(fd int, id uint64) unix.Errno {
	_, _, e := unix.RawSyscall(unix.SYS_IOCTL, uintptr(fd), ioctlIDValid, uintptr(unsafe.Pointer(&id)))
	return e
}

// setListenerFlags passes its argument by value, though the request's number says
// otherwise. It waits for a lock, and a signal, for example of the Go runtime, interrupts
// that.
func setListenerFlags(fd int, flags uintptr) error {
	for {
		switch _, _, e := unix.RawSyscall(unix.SYS_IOCTL, uintptr(fd), ioctlSetFlags, flags); e {
		case 0:
			return nil
		case unix.EINTR:
		default:
			return e
		}
	}
}

// setFilter issues seccomp(SECCOMP_SET_MODE_FILTER) on the calling thread. A nil
// program asks only whether the flags are known: EFAULT says yes, EINVAL no.
func setFilter(flags uintptr, program []bpf.RawInstruction) (uintptr, unix.Errno) {
	if program == nil {
		r, _, e := unix.RawSyscall(unix.SYS_SECCOMP, setModeFilter, flags, 0)
		return r, e
	}
	filter := make([]unix.SockFilter, len(program))
	for i, in := range program {
		filter[i] = unix.SockFilter{Code: in.Op, Jt: in.Jt, Jf: in.Jf, K: in.K}
	}
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	r, _, e := unix.RawSyscall(unix.SYS_SECCOMP, setModeFilter, flags, uintptr(unsafe.Pointer(&prog)))
	runtime.KeepAlive(filter)
	return r, e
}

func actionAvailable(action uint32) unix.Errno {
	_, _, e := unix.RawSyscall(unix.SYS_SECCOMP, getActionAvail, 0, uintptr(unsafe.Pointer(&action)))
	return e
}
