package tracer

import (
	"time"

	"github.com/fstrace/fstrace/tracer/internal/shim"
	"golang.org/x/sys/unix"
)

// A signal that is sent to a whole process group reaches the command by itself, and
// fstrace as well, which passes on what it gets: the kernel does not tell a process
// whether a signal was for it alone. The command must not get it twice. The kernel itself
// makes one of two equal signals that are pending together; signalDedup does so with two
// that come shortly after each other, if one of them is fstrace's.
type signalDedup struct {
	own, others [shim.SignalCount + 1]time.Time // when each was last delivered
}

// echoWindow is how long after one of the two the other is taken for its echo.
const echoWindow = 100 * time.Millisecond

// isEcho notes that a signal is about to be delivered to the command, and reports whether
// it is the second of such a pair.
func (e *signalDedup) isEcho(sig unix.Signal, own bool, now time.Time) bool {
	if sig < 1 || sig > shim.SignalCount {
		return false
	}
	mine, theirs := &e.own[sig], &e.others[sig]
	if !own {
		mine, theirs = theirs, mine
	}
	if now.Sub(*theirs) < echoWindow {
		*theirs = time.Time{} // a third is none
		return true
	}
	*mine = now
	return false
}
