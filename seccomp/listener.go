package seccomp

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// Errors of a listener, for errors.Is.
var (
	// ErrHangup: no thread has the filter any more. Nothing will be notified.
	ErrHangup = errors.New("no process has the filter any more")
	// ErrGone: the caller of a notified call was killed, or the call was
	// interrupted and will be notified anew. It has not run.
	ErrGone = errors.New("the caller is gone")
	// ErrNested: a filter above has a listener already, and the kernel allows one.
	ErrNested = errors.New("another listener is installed above us")
)

// A Notification is a system call that waits for a reply: struct seccomp_notif.
type Notification struct {
	ID    uint64 // rises by one with each notification of a filter
	PID   uint32 // the caller's *thread* id, in the receiver's pid namespace; 0 if it has none there
	Flags uint32 // none are defined
	Data  Data
}

// Data is struct seccomp_data.
type Data struct {
	NR   uint32
	Arch uint32 // AUDIT_ARCH_*
	IP   uint64
	Args [6]uint64
}

// A Listener receives the notifications of one filter. Receive is for one
// goroutine, locked to its thread; the other methods are safe for concurrent use.
type Listener struct {
	fd int
	// syncWakeUp: replies hand the processor straight to the caller (Linux 6.6).
	// Those kernels also wake a receiver when the last user of the filter goes.
	syncWakeUp bool
	buf        *recvBuffer
}

// NewListener takes over fd, a listener made by Install in this process or
// another. It negotiates the sizes of the kernel's structures and asks for
// synchronous wake-ups where there are such.
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

// FD returns the listener's descriptor, which stays the Listener's.
func (l *Listener) FD() int { return l.fd }

// SyncWakeUp tells whether the kernel hands the processor straight from replies
// to callers (Linux 6.6).
func (l *Listener) SyncWakeUp() bool { return l.syncWakeUp }

// Receive waits for the next notification. It returns ErrHangup when no thread
// has the filter any more; before Linux 6.6 it is not woken by that (WaitHangup is).
//
// Nothing else ends the wait: closing the listener does not, and since Linux 6.6 a
// signal does not either, the kernel restarts the call. Whoever wants to stop
// receiving lets the receiver answer what still comes without looking at it.
//
// The kernel's answers and what they mean: EINTR, a signal of the Go runtime
// itself: again. ENOENT: the caller was killed between waking us and our taking
// the notification: again; or, on a listener without users, on Linux 6.6 and
// later, the end, which poll(2) tells.
func (l *Listener) Receive(n *Notification) error {
	for {
		switch err := l.buf.receive(l.fd, n); err {
		case 0:
			return nil
		case unix.EINTR:
		case unix.ENOENT:
			if l.hungUp() {
				return ErrHangup
			}
		default:
			return fmt.Errorf("seccomp: receive notification: %w", err)
		}
	}
}

// hungUp tells whether the listener has no users any more (POLLHUP, Linux 5.9).
func (l *Listener) hungUp() bool {
	p := []unix.PollFd{{Fd: int32(l.fd)}}
	_, err := unix.Poll(p, 0)
	return err == nil && p[0].Revents&unix.POLLHUP != 0
}

// WaitHangup blocks until no thread has the filter any more, or for at most
// timeout (negative: without end), and tells whether that is so.
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

// WaitCall blocks until a notification can be received, and returns false if
// there will be none: no thread has the filter any more.
func (l *Listener) WaitCall() bool {
	for {
		p := []unix.PollFd{{Fd: int32(l.fd), Events: unix.POLLIN}}
		if _, err := unix.Poll(p, -1); err == unix.EINTR {
			continue
		}
		return p[0].Revents&unix.POLLHUP == 0
	}
}

// Valid tells whether the caller of the notification still waits for a reply:
// whether what was read of it by its thread id was its own.
func (l *Listener) Valid(id uint64) bool {
	return ioctlID(l.fd, id) == 0
}

// Continue lets the kernel run the call as if it had not been notified. ErrGone
// says that the call has not run, and will not for this notification.
func (l *Listener) Continue(id uint64) error {
	return l.send(id, 0, userNotifContinue)
}

// ContinueElsewhere is Continue for a caller that has its own processor, where it
// wakes up then. Continue would move it to the receiver's, to wait there for its turn
// while its own stands idle.
func (l *Listener) ContinueElsewhere(id uint64) error {
	if !l.syncWakeUp {
		return l.Continue(id)
	}
	// While this thread receives nothing, nobody else cares about the flags.
	if err := setListenerFlags(l.fd, 0); err != nil {
		return fmt.Errorf("seccomp: set listener flags: %w", err)
	}
	err := l.Continue(id)
	if e := setListenerFlags(l.fd, userNotifSyncWakeUp); e != nil {
		err = errors.Join(err, fmt.Errorf("seccomp: set listener flags: %w", e))
	}
	return err
}

// Errno makes the call fail with errno without running it.
func (l *Listener) Errno(id uint64, errno unix.Errno) error {
	return l.send(id, -int32(errno), 0)
}

// send replies. A reply that is interrupted must be repeated: the caller would
// sleep for ever.
func (l *Listener) send(id uint64, errno int32, flags uint32) error {
	for {
		switch err := sendReply(l.fd, id, errno, flags); err {
		case 0:
			return nil
		case unix.EINTR:
		case unix.ENOENT:
			return ErrGone
		default:
			return fmt.Errorf("seccomp: reply to notification %#x: %w", id, err)
		}
	}
}

// Close closes the descriptor. If no other is open anywhere, each notified call
// of a thread that still has the filter fails with ENOSYS from here on.
func (l *Listener) Close() error {
	if err := unix.Close(l.fd); err != nil {
		return fmt.Errorf("seccomp: close listener: %w", err)
	}
	return nil
}
