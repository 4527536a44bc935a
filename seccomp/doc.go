// Package seccomp has the two ends of a user-notification filter: [Program] assembles the
// filter, which selects in the kernel the system calls to be notified, and [Listener]
// receives the notifications and answers them.
//
// # Terms
//
// A filter is a classic BPF program that the kernel runs on every system call of a thread
// and of all its descendants. It cannot be removed. A call for which it returns
// SECCOMP_RET_USER_NOTIF becomes a notification: the calling thread sleeps until a
// process that holds the filter's listener, a file descriptor, answers. fstrace always
// answers "continue": then the kernel runs the call as if there had been no notification,
// and does not report its result. The one exception is io_uring, whose calls can be
// answered with an error.
//
// # Lifetimes
//
// A listener is alive while any thread has the filter. When the last one is gone,
// [Listener.Receive] returns [ErrHangup]. If the last descriptor of a listener is closed
// while threads have the filter, every notified call of these threads fails with ENOSYS.
// So keep the listener open as long as any descendant may run.
//
// # Limits
//
// A chain of filters can have one listener. Installing a second one fails with EBUSY
// ([ErrNested]). A filter sees only registers: the supervisor must read the strings that
// they point to, and the program can change these strings before the kernel reads them.
//
// The package needs Linux 5.5 (SECCOMP_USER_NOTIF_FLAG_CONTINUE). Since Linux 5.19
// signals need not restart notified calls, and since Linux 6.6 answers are five times
// faster: see [Features]. Manual pages: seccomp(2), seccomp_unotify(2).
package seccomp
