package tracer

import (
	"golang.org/x/sys/unix"
)

// inheritedSignals are the signal mask and the ignored signals that this process
// was started with, which its command is to start with too. Bit n-1 stands for
// signal n.
//
// The Go runtime installs handlers for nearly all signals before any Go code
// runs, and by that forgets which of them were ignored (but for SIGHUP and SIGINT,
// which it leaves alone); it also unblocks a few. A binary linked with the entry
// point of entry_linux_*.s has saved them before.
type inheritedSignals struct {
	mask    uint64
	ignored uint64
}

const signalCount = 64

// inherited is set once, when the package is initialized: on the main thread,
// whose mask is still the one that the process got.
var inherited = readInherited()

func readInherited() inheritedSignals {
	if saved.done != 0 {
		restoreStops()
		s := inheritedSignals{mask: saved.mask}
		for sig := 1; sig <= signalCount; sig++ {
			if saved.actions[sig-1].handler == sigIgnore {
				s.ignored |= 1 << (sig - 1)
			}
		}
		return s
	}
	var s inheritedSignals
	s.mask, _ = signalMask(nil)
	for sig := 1; sig <= signalCount; sig++ {
		if handler, errno := signalHandler(sig); errno == 0 && handler == sigIgnore {
			s.ignored |= 1 << (sig - 1)
		}
	}
	return s
}

// SignalsKept tells whether this binary keeps, for its commands, every signal
// disposition that it was started with. One that was not linked with
// "-ldflags=-E=fstrace_entry" keeps ignored only SIGHUP, SIGINT and the job
// control signals, and loses a blocked SIGPROF.
func SignalsKept() bool { return saved.done != 0 }

// savedState is filled by fstrace_entry, before the Go runtime starts.
type savedState struct {
	done       uint64
	mask       uint64
	actions    [signalCount]kernelSigaction
	fdFlags    [3]int64 // of the standard descriptors, negative if one was closed
	timerSlack int64    // nanoseconds
}

// startedClosed tells whether a standard descriptor was closed when this process
// was started. The Go runtime opens /dev/null in its place.
func startedClosed(fd int) bool {
	return saved.done != 0 && fd < len(saved.fdFlags) && saved.fdFlags[fd] < 0
}

var saved savedState

// jobControl are the signals that a terminal stops its processes with.
const jobControl = 1<<(unix.SIGTSTP-1) | 1<<(unix.SIGTTIN-1) | 1<<(unix.SIGTTOU-1)
