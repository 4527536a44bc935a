package seccomp

import (
	"fmt"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Install puts the filter on the calling thread, which must be locked to its
// goroutine and is then bound to it, and returns the listener's descriptor
// (close-on-exec). Every call that the filter notifies, of this thread too,
// sleeps from here on until somebody replies.
//
// The filter goes on the one thread that is about to exec, without TSYNC: with
// NEW_LISTENER the kernel refuses TSYNC (Linux 5.7 adds TSYNC_ESRCH), and exec
// keeps the calling thread's filter.
//
// Package tracer/internal/shim has a list of system calls that do the same: what changes here
// changes there.
//
// The thread needs no_new_privs or CAP_SYS_ADMIN in its user namespace (EACCES).
// ErrNested says that a filter above has a listener.
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

// SetNoNewPrivs forbids the calling thread and its descendants to gain
// privileges by exec, for ever: prctl(2), Linux 3.5.
func SetNoNewPrivs() error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("seccomp: set no_new_privs: %w", err)
	}
	return nil
}
