package shim

import "syscall"

// The Go runtime's monitor thread sleeps for 20 us at a time as long as threads come
// and go between system calls, which in a tracer is always: with the kernel's usual timer slack
// of 50 us it takes a tenth of a processor, and interrupts tracees on it, or wakes it up,
// ten thousand times a second. fstrace_entry gives this process's threads a slack of 1 ms.
// What waits for the monitor, goroutines without a processor of Go's, waits longer
// then: there have to be enough of these (tracer.Processors).
//
// The slack is inherited by children and kept by exec, and a child's default is what its
// parent has at that moment: prctl(2), PR_SET_TIMERSLACK. Commands get the one that this
// process was started with.

// RestoreTimerSlack gives the calling thread the slack that this process was started with.
func RestoreTimerSlack() error {
	if saved.done == 0 || saved.timerSlack < 0 {
		return nil // it was not changed
	}
	if errno := prctl(syscall.PR_SET_TIMERSLACK, uintptr(saved.timerSlack)); errno != 0 {
		return errno
	}
	return nil
}
