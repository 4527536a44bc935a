package shim

import "syscall"

// Signals are a signal mask and ignored signals: those that this process was started
// with, which its command is to start with too. Bit n-1 stands for signal n.
//
// The Go runtime installs handlers for nearly all signals before any Go code
// runs, and by that forgets which of them were ignored (but for SIGHUP and SIGINT,
// which it leaves alone); it also unblocks a few. A binary linked with the entry
// point of entry_linux_*.s has saved them before.
type Signals struct {
	Mask    uint64
	Ignored uint64
}

// SignalCount is the highest signal's number.
const SignalCount = 64

// StopSignals are the signals that a terminal stops its processes with.
const StopSignals = 1<<(syscall.SIGTSTP-1) | 1<<(syscall.SIGTTIN-1) | 1<<(syscall.SIGTTOU-1)

// inherited is set once, when the package is initialized: on the main thread,
// whose mask is still the one that the process got.
var inherited = readInherited()

// Inherited returns the signals that this process was started with.
func Inherited() Signals { return inherited }

func readInherited() Signals {
	if saved.done != 0 {
		restoreSlacks()
		restoreStops()
		s := Signals{Mask: saved.mask}
		for sig := 1; sig <= SignalCount; sig++ {
			if saved.actions[sig-1].handler == SignalIgnore {
				s.Ignored |= 1 << (sig - 1)
			}
		}
		return s
	}
	var s Signals
	s.Mask, _ = SignalMask(nil)
	for sig := 1; sig <= SignalCount; sig++ {
		if handler, errno := signalHandler(sig); errno == 0 && handler == SignalIgnore {
			s.Ignored |= 1 << (sig - 1)
		}
	}
	return s
}

// restoreStops undoes fstrace_entry's blocking of the stop signals for the main
// thread. It is enough that one thread takes a signal.
func restoreStops() {
	mask, _ := SignalMask(nil)
	mask &^= StopSignals &^ saved.mask
	_, _ = SignalMask(&mask)
}

// SignalsKept reports whether this binary has the entry point, and so knows every signal
// disposition that it was started with. Another one knows only of SIGHUP, SIGINT and the
// job control signals that they were ignored, and loses a blocked SIGPROF.
func SignalsKept() bool { return saved.done != 0 }

// savedState is filled by fstrace_entry, before the Go runtime starts.
type savedState struct {
	done       uint64
	mask       uint64
	actions    [SignalCount]kernelSigaction
	fdFlags    [3]int64 // of the standard descriptors, negative if one was closed
	timerSlack int64    // nanoseconds
}

var saved savedState

// StartedClosed reports whether a standard descriptor was closed when this process was
// started. The Go runtime opens /dev/null in its place.
func StartedClosed(fd int) bool {
	return saved.done != 0 && fd < len(saved.fdFlags) && saved.fdFlags[fd] < 0
}
