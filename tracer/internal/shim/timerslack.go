package shim

import (
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// The Go runtime's monitor thread (sysmon) sleeps for 20 us at a time as long as threads
// come and go between system calls, which in a tracer is always: with the kernel's usual
// timer slack of 50 us it takes a tenth of a processor, and interrupts tracees on it, or
// wakes it up, ten thousand times a second. With a slack of 1 ms it does not. What waits
// for the monitor, goroutines without a processor of Go's, waits longer then: there have
// to be enough of these (package tracer).
//
// The slack is a thread's own, and inherited by the threads that it starts: prctl(2),
// PR_SET_TIMERSLACK. So fstrace_entry sets it before the runtime starts the monitor,
// which is the first thread. No other may keep it: where threads look for work the
// scheduler has them sleep for 3 us, while another goroutine waits. A thread can set the
// slack of no other one. But it can send a signal, and signal handlers run on the thread
// that gets it.

// restoreSlacks gives the threads that there are the slack that this process was started
// with, but for the monitor. If a thread is started just now it may keep the long one,
// and look for work later than others.
func restoreSlacks() {
	_ = RestoreTimerSlack() // this is the main thread
	fd, err := unix.Open("/proc/self/task", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return // nothing is wrong, but slow
	}
	defer unix.Close(fd)
	// The kernel lists threads in the order in which they were started. There are few.
	var buf [4 << 10]byte
	n, err := unix.ReadDirent(fd, buf[:])
	if err != nil {
		return
	}
	_, _, names := unix.ParseDirent(buf[:n], -1, nil)
	if len(names) < 3 || setSlackHandler(slackSignal) != 0 {
		return
	}
	for _, name := range names[2:] {
		if tid, err := strconv.Atoi(name); err == nil {
			_ = unix.Tgkill(unix.Getpid(), tid, slackSignal)
		}
	}
}

// slackSignal is SIGRTMAX. The Go runtime ignores it unless the program asks for it. So
// does its handler, which stays: it changes nothing but the slack of a thread.
const slackSignal = syscall.Signal(SignalCount)

// RestoreTimerSlack gives the calling thread the slack that this process was started
// with. A child's is what the thread has that starts it.
func RestoreTimerSlack() error {
	if saved.done == 0 || saved.timerSlack < 0 {
		return nil // it was not changed
	}
	if errno := prctl(syscall.PR_SET_TIMERSLACK, uintptr(saved.timerSlack)); errno != 0 {
		return errno
	}
	return nil
}
