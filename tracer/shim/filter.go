package shim

import "syscall"

// linux/seccomp.h and linux/prctl.h, as seccomp(2) and prctl(2) describe it. (What
// package seccomp knows of it is not to be had here: doc.go.)
const (
	setModeFilter    = 1
	flagSpecAllow    = 1 << 2 // Linux 4.17
	flagNewListener  = 1 << 3 // Linux 5.0
	flagWaitKillable = 1 << 5 // Linux 5.19

	prSetNoNewPrivs = 38 // Linux 3.5
)

// install puts the filter on this thread, with no_new_privs only if it does not go
// without: that would keep a privileged user's setuid programs from working.
func install(filter []byte) (listener int, errno syscall.Errno) {
	listener, errno = newListener(filter)
	if errno != syscall.EACCES {
		return listener, errno
	}
	if errno := prctl(prSetNoNewPrivs, 1); errno != 0 {
		return -1, errno
	}
	return newListener(filter)
}

// newListener does what seccomp.Install does.
func newListener(filter []byte) (fd int, errno syscall.Errno) {
	const flags = flagNewListener | flagWaitKillable | flagSpecAllow
	fd, errno = setFilter(flags, filter)
	if errno == syscall.EINVAL { // before Linux 5.19
		fd, errno = setFilter(flags&^flagWaitKillable, filter)
	}
	return fd, errno
}
