package jobcontrol

import (
	"runtime"

	"github.com/fstrace/fstrace/tracer/internal/failpoint"
	"github.com/fstrace/fstrace/tracer/internal/procfs"
	"github.com/fstrace/fstrace/tracer/internal/shim"
	"golang.org/x/sys/unix"
)

// A program that stands for its command has to stop when the command does, so that
// the shell, which knows only the program, sees its job stopped. It must not stop
// before: a command that handles SIGTSTP needs its tracer for that. And it must not
// stop when the shell has continued the job meanwhile. The kernel can do that, with
// signals that are blocked: one that is pending is taken back by a SIGCONT.
//
// To stop, a thread lets the pending signal through, and holds signals back again
// when it goes on. In between, the next one would stop the program at once. So it is
// the tracer thread that does it: until that goes on, the command, whose stop has to
// be answered, does not, and nobody has a reason to stop it again. Only a command
// that is not traced may be faster.

// stopSignals are the signals that a terminal stops its processes with.
const stopSignals = shim.StopSignals

// HoldStops makes SIGTSTP, SIGTTIN and SIGTTOU wait for StopHeld and StopWith. It
// must be called from an init function, which runs on the main thread, and does
// nothing in a binary that does not keep signals (tracer.SignalsKept).
func HoldStops() {
	if !shim.SignalsKept() {
		return
	}
	mask, _ := shim.SignalMask(nil)
	mask |= stopSignals
	_, _ = shim.SignalMask(&mask)
}

// StopHeld stops this process if a signal to do so waits, and reports whether one
// did. It returns when this process has been continued.
func StopHeld() bool {
	if heldSignals()&stopSignals == 0 {
		return false
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	letStop()
	return true
}

// StopWith stops this process by a stop signal of its own, unless the function unless
// returns true. It is called when a SIGCONT that comes later already takes the signal
// back. It returns when this process has been continued, and reports whether it was to
// stop.
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

// letStop lets stop signals have their effect: in the calling thread, before the
// call that unblocks them returns.
func letStop() {
	mask, _ := shim.SignalMask(nil)
	open := mask &^ stopSignals
	_, _ = shim.SignalMask(&open)
	failpoint.At("stopped")
	_, _ = shim.SignalMask(&mask)
}

// heldSignals returns the signals that wait for this process.
func heldSignals() uint64 {
	st, err := procfs.ReadStatus(unix.Getpid())
	if err != nil {
		return 0
	}
	return st.Pending
}
