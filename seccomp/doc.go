// Package seccomp holds the two ends of a user-notify filter: [Program], which
// decides in the kernel which system calls of which ABI are notified, and
// [Listener], through which a supervisor receives those notifications and lets
// the callers go on.
//
// # Terms
//
// A filter is a classic BPF program that the kernel runs on every system call
// of a thread and of all its descendants; it cannot be removed. A call for which
// it returns SECCOMP_RET_USER_NOTIF becomes a notification: the calling thread
// (the tracee) sleeps until somebody who holds the filter's listener, a file
// descriptor, replies. fstrace always replies "continue": the kernel then runs
// the call as if nothing had happened, and reports no result. The one exception
// is io_uring, which can be answered with an error.
//
// # Lifetimes
//
// A listener is alive while any thread has the filter. When the last one is
// gone, [Listener.Receive] returns [ErrHangup]. When the last descriptor of a
// listener is closed while threads have the filter, each notified call of theirs
// fails with ENOSYS, for ever: whoever closes one early breaks the programs.
//
// # Limits
//
// A filter chain can hold one listener: installing a second gives EBUSY
// ([ErrNested]). What a filter sees are registers; reading the strings they
// point to is the supervisor's work, and the program may change them between
// that reading and the kernel's.
//
// Needs Linux 5.5 (SECCOMP_USER_NOTIF_FLAG_CONTINUE). Linux 5.19 keeps signals
// from restarting notified calls, Linux 6.6 makes replies five times faster; see
// [Features]. Manual pages: seccomp(2), seccomp_unotify(2).
package seccomp
