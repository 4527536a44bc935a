package seccomp

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// Errors of a [Listener], for use with errors.Is.
var (
	// ErrHangup means that no thread has the filter. There will be no more notifications.
	ErrHangup = errors.New("no process has the filter any more")
	// ErrGone means that there is no call to answer: the caller was killed, or a signal
	// interrupted the call, which will then be notified again. The call has not run.
	ErrGone = errors.New("the caller is gone")
	// ErrNested means that another filter of the thread already has a listener. The
	// kernel allows one.
	ErrNested = errors.New("another listener is installed above us")
)

// A Notification is a system call that waits for an answer: struct seccomp_notif.
type Notification struct {
	ID    uint64 // rises by one with each notification of a filter
	PID   uint32 // the caller's *thread* id, in the receiver's pid namespace; 0 if it has none there
	Flags uint32 // none are defined
	Data  Data
}

// Data is struct seccomp_data: the call as the filter sees it.
type Data struct {
	NR   uint32
	Arch uint32 // AUDIT_ARCH_*
	IP   uint64
	Args [6]uint64
}

// A Listener receives the notifications of one filter and answers them. Receive must be
// called by one goroutine at a time, locked to its thread. The other methods may be
// called concurrently.
type Listener struct {
	fd int
	// syncWakeUp: replies hand the processor straight to the caller (Linux 6.6). Those
	// kernels also wake a receiver when the last user of the filter goes.
	syncWakeUp bool
	buf        *recvBuffer
}

// NewListener returns a Listener for the descriptor fd, which [Install] has returned in
// this process or in another. On success the Listener owns fd. NewListener asks the
// kernel for the sizes of its structures, and enables synchronous wake-ups where the
// kernel has them (Linux 6.6).
func NewListener(fd int) (*Listener, error) {
	buf, err := newRecvBuffer()
	if err != nil {
		return nil, fmt.Errorf("seccomp: ask for notification sizes: %w", err)
	}
	// No notification has the number 0. Any other answer than that means that this
	// process could not receive or reply, and the callers would wait forever.
	if errno := ioctlID(fd, 0); errno != unix.ENOENT {
		return nil, fmt.Errorf("seccomp: ioctl(2) of the listener: %w", errno)
	}
	l := &Listener{fd: fd, buf: buf}
	l.syncWakeUp = setListenerFlags(fd, userNotifSyncWakeUp) == nil
	return l, nil
}

// FD returns the descriptor of the listener. It is still owned by the Listener.
func (l *Listener) FD() int { return l.fd }

// SyncWakeUp reports whether the kernel wakes callers synchronously, on the processor of
// the thread that answers (Linux 6.6).
func (l *Listener) SyncWakeUp() bool { return l.syncWakeUp }

// Receive waits for the next notification and stores it in n. It returns [ErrHangup] when
// no thread has the filter. Before Linux 6.6 that does not wake it; use
// [Listener.WaitHangup] there, and then send the thread a signal.
//
// Nothing else ends the wait: neither closing the listener nor, while threads have the
// filter, a signal. To stop receiving, continue the remaining notifications without
// looking at them.
//
// Receive retries when the kernel returns EINTR, which a signal of the Go runtime
// suffices for, and ENOENT, which means that the caller was killed before Receive could
// take the notification. On a listener without users, Linux 6.6 and later also return
// ENOENT; poll(2) distinguishes these cases. Where a sandbox forbids poll(2), ENOENT a
// hundred times in a row does: with users the kernel would wait.
func (l *Listener) Receive(n *Notification) error {
	const blindly = 100 // milliseconds
	for tries := 0; ; {
		err := l.buf.receive(l.fd, n)
		switch err {
		case 0:
			return nil
		case unix.EINTR, unix.ENOENT:
		default:
			return fmt.Errorf("seccomp: receive notification: %w", err)
		}
		switch gone, pollErr := l.hungUp(); {
		case gone:
			return ErrHangup
		case pollErr != nil && err == unix.ENOENT:
			if tries++; tries > blindly {
				return ErrHangup
			}
			time.Sleep(time.Millisecond)
		}
	}
}

// hungUp reports whether the listener has no users (POLLHUP, Linux 5.9).
func (l *Listener) hungUp() (bool, error) {
	p := []unix.PollFd{{Fd: int32(l.fd)}}
	_, err := unix.Poll(p, 0)
	if err == unix.EINTR {
		err = nil // the caller asks again
	}
	return err == nil && p[0].Revents&unix.POLLHUP != 0, err
}

// WaitHangup blocks until no thread has the filter, or until the timeout is over, and
// reports whether no thread has the filter. A negative timeout means to wait without
// limit. POLLHUP, Linux 5.9.
func (l *Listener) WaitHangup(timeout time.Duration) bool {
	deadline := time.Now().Add(timeout)
	for {
		ms := -1
		if timeout >= 0 {
			ms = max(0, int(time.Until(deadline).Milliseconds()))
		}
		p := []unix.PollFd{{Fd: int32(l.fd)}} // POLLHUP needs no asking; POLLIN would wake us for each call
		n, err := unix.Poll(p, ms)
		if err == unix.EINTR {
			continue
		}
		return err == nil && n > 0 && p[0].Revents&unix.POLLHUP != 0
	}
}

// WaitCall blocks until a notification can be received. It returns false if there will be
// none, because no thread has the filter.
func (l *Listener) WaitCall() bool {
	for {
		p := []unix.PollFd{{Fd: int32(l.fd), Events: unix.POLLIN}}
		if _, err := unix.Poll(p, -1); err == unix.EINTR {
			continue
		}
		return p[0].Revents&unix.POLLHUP == 0
	}
}

// Valid reports whether the caller of the notification with this id still waits for the
// answer. If so, everything that was read under its tid since the notification belongs to
// this caller, and not to another thread that got the same tid.
func (l *Listener) Valid(id uint64) bool {
	return ioctlID(l.fd, id) == 0
}

// Continue answers a notification: the kernel runs the call as if there had been no
// notification (SECCOMP_USER_NOTIF_FLAG_CONTINUE, Linux 5.5). If Continue returns
// [ErrGone], the call has not run.
func (l *Listener) Continue(id uint64) error {
	return l.send(&response{id: id, flags: userNotifContinue})
}

// ContinueWithoutSync is like Continue, but wakes the caller on its own processor. With
// synchronous wake-ups, Continue wakes it on the processor of the calling thread, which
// is slower if the caller's own processor is idle. While ContinueWithoutSync runs, other
// answers are not synchronous either.
func (l *Listener) ContinueWithoutSync(id uint64) error {
	if !l.syncWakeUp {
		return l.Continue(id)
	}
	// While this thread does not receive, nothing else depends on the flags.
	if err := setListenerFlags(l.fd, 0); err != nil {
		return fmt.Errorf("seccomp: set listener flags: %w", err)
	}
	err := l.Continue(id)
	if e := setListenerFlags(l.fd, userNotifSyncWakeUp); e != nil {
		err = errors.Join(err, fmt.Errorf("seccomp: set listener flags: %w", e))
	}
	return err
}

// Errno answers a notification: the call fails with errno and does not run. See Continue
// for ErrGone.
func (l *Listener) Errno(id uint64, errno unix.Errno) error {
	return l.send(&response{id: id, error: -int32(errno)})
}

// AnswerWithFile gives the caller a descriptor of an open file of this process,
// close-on-exec, and has its call return the number. After an error other than ErrGone
// the call is not answered. It needs Linux 5.9.
//
// It does not use SECCOMP_ADDFD_FLAG_SEND (Linux 5.14): when a signal interrupts that,
// the call returns 0, and there is no descriptor.
func (l *Listener) AnswerWithFile(id uint64, file int) error {
	number, err := l.AddFile(id, file)
	if err != nil {
		return err
	}
	return l.send(&response{id: id, val: int64(number)})
}

// AddFile gives the caller a descriptor of an open file of this process, close-on-exec,
// and returns its number there. The call is not answered. It needs Linux 5.9.
func (l *Listener) AddFile(id uint64, file int) (number int, err error) {
	for {
		switch number, err := addFD(l.fd, id, file); err {
		case 0:
			return number, nil
		case unix.EINTR:
		case unix.ENOENT:
			return -1, ErrGone
		default:
			return -1, fmt.Errorf("seccomp: add descriptor to the caller of %#x: %w", id, err)
		}
	}
}

// send replies. A reply that is interrupted must be repeated: the caller would sleep for
// ever.
func (l *Listener) send(r *response) error {
	for {
		switch err := sendReply(l.fd, r); err {
		case 0:
			return nil
		case unix.EINTR:
		case unix.ENOENT:
			return ErrGone
		default:
			return fmt.Errorf("seccomp: reply to notification %#x: %w", r.id, err)
		}
	}
}

// Close closes the descriptor. If no other descriptor of this listener is open anywhere,
// every notified call of a thread that has the filter fails with ENOSYS from then on.
func (l *Listener) Close() error {
	if err := unix.Close(l.fd); err != nil {
		return fmt.Errorf("seccomp: close listener: %w", err)
	}
	return nil
}
