package tracer

import (
	"bytes"
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// A program that stands for its command has to stop when the command does, so that
// the shell, which knows only the program, sees its job stopped. It must not stop
// before: a command that handles SIGTSTP needs its tracer for that. And it must not
// stop when the shell has continued the job meanwhile. The kernel can do that, with
// signals that are blocked: one that is pending is taken back by a SIGCONT.

// stopSignals are the signals that a terminal stops its processes with.
const stopSignals = jobControl

// restoreStops undoes fstrace_entry's blocking of the stop signals for the main
// thread. It is enough that one thread takes a signal.
func restoreStops() {
	mask, _ := signalMask(nil)
	mask &^= stopSignals &^ saved.mask
	_, _ = signalMask(&mask)
}

// HoldStops makes SIGTSTP, SIGTTIN and SIGTTOU wait for StopHeld and StopWith. It
// must be called from an init function, which runs on the main thread, and does
// nothing in a binary that does not keep signals (SignalsKept).
func HoldStops() {
	if saved.done == 0 {
		return
	}
	mask, _ := signalMask(nil)
	mask |= stopSignals
	_, _ = signalMask(&mask)
}

// StopHeld stops this process if a signal to do so waits, and tells whether one
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

// StopWith stops this process by a stop signal of its own, unless it is not to be:
// that is asked when a SIGCONT that comes later already takes the signal back. It
// returns when this process has been continued.
func StopWith(sig unix.Signal, unless func() bool) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if sig == unix.SIGSTOP { // cannot be held
		if !unless() {
			_ = unix.Tgkill(unix.Getpid(), unix.Gettid(), sig)
		}
		return
	}
	mask, _ := signalMask(nil)
	held := mask | stopSignals
	_, _ = signalMask(&held)
	_ = unix.Tgkill(unix.Getpid(), unix.Gettid(), sig)
	if unless() {
		_ = unix.Kill(unix.Getpid(), unix.SIGCONT)
	}
	letStop()
	_, _ = signalMask(&mask)
}

// letStop lets stop signals have their effect: in the calling thread, before the
// call that unblocks them returns.
func letStop() {
	mask, _ := signalMask(nil)
	open := mask &^ stopSignals
	_, _ = signalMask(&open)
	_, _ = signalMask(&mask)
}

// heldSignals returns the signals that wait for this process: proc(5).
func heldSignals() uint64 {
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(data) {
		if value, ok := bytes.CutPrefix(line, []byte("ShdPnd:")); ok {
			set, _ := strconv.ParseUint(string(bytes.TrimSpace(value)), 16, 64)
			return set
		}
	}
	return 0
}
