package tracer

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// The Go runtime's monitor thread sleeps for 20 us at a time as long as threads come
// and go between system calls, which here is always: with the kernel's usual timer slack
// of 50 us it takes a tenth of a processor, and interrupts tracees on it, or wakes it up,
// ten thousand times a second. fstrace_entry gives this process's threads a slack of 1 ms.
// What waits for the monitor, goroutines without a processor of Go's, waits longer
// then: there have to be enough of these (Processors).
//
// The slack is inherited by children and kept by exec, and a child's default is what its
// parent has at that moment: prctl(2), PR_SET_TIMERSLACK. Commands get the one that this
// process was started with.

// Processors is how many processors of Go's (GOMAXPROCS) a program with one session at a
// time should have at least: one for each thread that is in system calls all the time,
// the receiver and the tracer thread, one for the consumer, and one for all else.
const Processors = 4

// restoreTimerSlack gives the calling thread the slack that this process was started with.
func restoreTimerSlack() error {
	if saved.done == 0 || saved.timerSlack < 0 {
		return nil // it was not changed
	}
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(saved.timerSlack), 0, 0, 0); err != nil {
		return fmt.Errorf("restore the timer slack: %w", err)
	}
	return nil
}
