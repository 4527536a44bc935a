package seccomp

import (
	"fmt"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Install installs the filter on the calling thread and returns the descriptor of its
// listener, which is close-on-exec and belongs to the caller. The goroutine must be
// locked to its thread and must stay so, because the filter cannot be removed. From here
// on every call that the filter notifies, including those of this thread, sleeps until it
// is answered.
//
// The thread must have no_new_privs set ([SetNoNewPrivs]) or CAP_SYS_ADMIN in its user
// namespace; otherwise the error is EACCES. If the error is [ErrNested], another filter
// of the thread already has a listener. Errors work with errors.Is and the errno of
// seccomp(2).
//
// Other threads of the process do not get the filter: with
// SECCOMP_FILTER_FLAG_NEW_LISTENER the kernel refuses TSYNC (Linux 5.7 adds TSYNC_ESRCH).
// Install it on the thread that calls exec, which keeps the filter of the calling thread.
//
// Package tracer/internal/shim has a list of system calls that do the same. Change both
// together.
func Install(program []bpf.RawInstruction) (fd int, err error) {
	flags := uintptr(flagNewListener | flagWaitKillable | flagSpecAllow)
	r, errno := setFilter(flags, program)
	if errno == unix.EINVAL { // before Linux 5.19
		r, errno = setFilter(flags&^flagWaitKillable, program)
	}
	switch errno {
	case 0:
		return int(r), nil
	case unix.EBUSY:
		return -1, fmt.Errorf("seccomp: install filter: %w (%w)", errno, ErrNested)
	}
	return -1, fmt.Errorf("seccomp: install filter: %w", errno)
}

// SetNoNewPrivs sets no_new_privs on the calling thread: from then on neither the thread
// nor its descendants can gain privileges by exec. It cannot be unset. prctl(2), Linux
// 3.5.
func SetNoNewPrivs() error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("seccomp: set no_new_privs: %w", err)
	}
	return nil
}
