package jobcontrol

import (
	"runtime"

	"github.com/fstrace/fstrace/tracer/internal/failpoint"
	"github.com/fstrace/fstrace/tracer/internal/procfs"
	"github.com/fstrace/fstrace/tracer/internal/shim"
	"golang.org/x/sys/unix"
)

// The program must stop when the command does, so that the shell sees the job stopped. It
// must not stop earlier, because a command that handles SIGTSTP needs its tracer for
// that. And it must not stop if the shell has continued the job meanwhile. The kernel
// does this for signals that are blocked: SIGCONT removes a pending stop signal.
//
// To stop, a thread unblocks the pending signal, and blocks signals again when it has
// been continued. In between, a further stop signal would stop the program at once. So
// the tracer thread does this: until it continues, a traced command does not continue
// either, and nothing stops it again. Only a command that is not traced may be faster.

// stopSignals are the stop signals of terminals.
const stopSignals = shim.StopSignals

// HoldStops blocks SIGTSTP, SIGTTIN and SIGTTOU, until [StopHeld] or [StopWith]. It must
// be called from an init function, which runs on the main thread. It does nothing in a
// binary that does not keep signals (tracer.SignalsKept).
func HoldStops() {
	if !shim.SignalsKept() {
		return
	}
	mask, _ := shim.SignalMask(nil)
	mask |= stopSignals
	_, _ = shim.SignalMask(&mask)
}

// StopHeld stops this process if a stop signal is pending, and reports whether one was.
// It returns when the process has been continued.
func StopHeld() bool {
	if heldSignals()&stopSignals == 0 {
		return false
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	letStop()
	return true
}

// StopWith stops this process by a stop signal, except if unless returns true. It calls
// unless when the signal is pending, so that a SIGCONT after that call removes the
// signal. StopWith returns when the process has been continued, and reports whether it
// was to stop.
func StopWith(sig unix.Signal, unless func() bool) bool {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if sig == unix.SIGSTOP { // cannot be held
		if unless() {
			return false
		}
		_ = unix.Tgkill(unix.Getpid(), unix.Gettid(), sig)
		return true
	}
	mask, _ := shim.SignalMask(nil)
	held := mask | stopSignals
	_, _ = shim.SignalMask(&held)
	_ = unix.Tgkill(unix.Getpid(), unix.Gettid(), sig)
	stop := !unless()
	if !stop {
		_ = unix.Kill(unix.Getpid(), unix.SIGCONT)
	}
	letStop()
	_, _ = shim.SignalMask(&mask)
	return stop
}

// letStop unblocks stop signals for a moment. A pending one takes effect in the calling
// thread, before the call that unblocks it returns.
func letStop() {
	mask, _ := shim.SignalMask(nil)
	open := mask &^ stopSignals
	_, _ = shim.SignalMask(&open)
	failpoint.At("stopped")
	_, _ = shim.SignalMask(&mask)
}

// heldSignals returns the signals that are pending for this process.
func heldSignals() uint64 {
	st, err := procfs.ReadStatus(unix.Getpid())
	if err != nil {
		return 0
	}
	return st.Pending
}
