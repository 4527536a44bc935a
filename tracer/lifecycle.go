package tracer

import (
	"golang.org/x/sys/unix"
)

// A lifecycle decides what happens to a command that has run for too long. It is
// pure: events go in, in whichever order the machine lets them happen, and what is
// to be done comes out. All that it says of the end is said by the command's own
// wait status, which arrives once: no flag can be written too late.
//
//	            timeout                  grace
//	running ────────────────▶ terminating ────────────────▶ killing
//	        SIGTERM to all                 SIGKILL to all
//
// The command may end in each stage. Its descendants stay subject to what follows:
// what has got SIGTERM must end.
type lifecycle struct {
	stage  stage
	over   bool            // the command itself has ended
	at     stage           // in which stage it did
	ended  bool            // it is known how
	status unix.WaitStatus // how
}

type stage uint8

const (
	running stage = iota
	terminating
	killing
)

// An action is what the owner is to do to every process of the session.
type action uint8

const (
	doNothing action = iota
	terminateAll
	killAll
)

// timeout: the command has run as long as it may.
func (l *lifecycle) timeout() action {
	if l.stage != running {
		return doNothing
	}
	l.stage = terminating
	return terminateAll
}

// grace: the command has had its time after SIGTERM.
func (l *lifecycle) grace() action {
	if l.stage != terminating {
		return doNothing
	}
	l.stage = killing
	return killAll
}

// gone: the command itself has ended, in whichever way. What happens from here on
// has no part in that.
func (l *lifecycle) gone() {
	if !l.over {
		l.over, l.at = true, l.stage
	}
}

// exit: the command's wait status is there.
func (l *lifecycle) exit(status unix.WaitStatus) {
	l.gone()
	if !l.ended {
		l.ended, l.status = true, status
	}
}

// An Ending says whether a timeout or [Cmd.Cancel] ended a command.
type Ending uint8

// Endings.
const (
	// EndedByItself means that the command ended before any timeout.
	EndedByItself Ending = iota
	// EndedAfterTerm means that the command ended after SIGTERM, by the signal or by
	// exiting.
	EndedAfterTerm
	// EndedByKill means that the command did not end after SIGTERM, and SIGKILL ended it.
	EndedByKill
)

// ending tells it, by what really ended the command. A SIGKILL that came when the
// command was already ending otherwise did not end it.
func (l *lifecycle) ending() Ending {
	switch {
	case l.at == running:
		return EndedByItself
	case l.at == killing && l.status.Signaled() && l.status.Signal() == unix.SIGKILL:
		return EndedByKill
	}
	return EndedAfterTerm
}
