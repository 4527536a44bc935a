package tracer

import (
	"slices"

	"golang.org/x/sys/unix"
)

// A waitEvent is one report of wait4 on a tracee, with the message of its stop
// where it has one: the message can be fetched only while the tracee is stopped,
// so it is fetched with the report.
type waitEvent struct {
	tid     int
	status  unix.WaitStatus
	message int // the new tid of a clone event, the former tid of an exec event
}

// An eventKind is what a wait status of a seized tracee says: ptrace(2),
// "Stopped states".
type eventKind uint8

const (
	evNew       eventKind = iota // fork, vfork or clone: message is the new tid
	evExec                       // message is the tid that called exec
	evGroupStop                  // the whole group is stopped by a job control signal
	evTrap                       // PTRACE_EVENT_STOP otherwise: a child's first stop, an interrupt, a SIGCONT
	evSignal                     // a signal is about to be delivered
	evOther                      // an event that was not asked for
	evDead                       // exited or killed
)

// ptraceEvent extracts PTRACE_EVENT_* from a stop's status.
func ptraceEvent(ws unix.WaitStatus) int { return int(ws>>16) & 0xff }

// kind classifies the event.
func (e *waitEvent) kind() eventKind {
	if !e.status.Stopped() {
		return evDead
	}
	switch ptraceEvent(e.status) {
	case unix.PTRACE_EVENT_FORK, unix.PTRACE_EVENT_VFORK, unix.PTRACE_EVENT_CLONE:
		return evNew
	case unix.PTRACE_EVENT_EXEC:
		return evExec
	case unix.PTRACE_EVENT_STOP:
		switch e.status.StopSignal() {
		case unix.SIGSTOP, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU:
			return evGroupStop
		}
		return evTrap
	case 0:
		return evSignal
	}
	return evOther
}

// maxBatch bounds how many events are drained before they are handled: stopped
// tracees wait meanwhile.
const maxBatch = 64

// A waiter reports the events of tracees, from the kernel or from a test's model
// of it.
type waiter interface {
	// wait returns the next event. Without block it returns ok == false if there
	// is none just now; errNoTracees says that there will be none.
	wait(block bool) (e waitEvent, ok bool, err error)
}

// collect waits for an event and drains what else has happened, then puts the
// batch in an order in which each process is known before it is heard of:
//
//  1. clone, fork and vfork events, which name new tids,
//  2. other stops of tracees that are known,
//  3. stops of tids that are not: the first stops of the new ones,
//  4. exits, so that a process does not end before the batch has told what it did.
//
// The sort is stable, and one tid's own events keep their order. The kernel
// reports in no order: a child's first stop often comes before the event of its
// parent that names it, in the same batch or in one before; what sorting cannot
// mend, adoption does (follow.go).
//
// Draining stops at a tid's second event: its death after a stop, for it is resumed
// only when the batch is handled; or after a death the first stop of a new thread, for
// the number was free again: that stays the last, behind the death.
func collect(w waiter, batch []waitEvent, known func(tid int) bool) ([]waitEvent, error) {
	batch = batch[:0]
	for len(batch) < maxBatch {
		e, ok, err := w.wait(len(batch) == 0)
		if err != nil {
			if len(batch) > 0 {
				break // the next call says so again
			}
			return nil, err
		}
		if !ok {
			break
		}
		before := slices.IndexFunc(batch, func(b waitEvent) bool { return b.tid == e.tid })
		batch = append(batch, e)
		if before >= 0 && batch[before].kind() == evDead {
			sortBatch(batch[:len(batch)-1], known)
			return batch, nil
		}
		if before >= 0 {
			break
		}
	}
	sortBatch(batch, known)
	return batch, nil
}

func sortBatch(batch []waitEvent, known func(tid int) bool) {
	rank := func(e *waitEvent) int {
		switch kind := e.kind(); {
		case kind == evNew:
			return 0
		case kind == evDead:
			return 3
		case !known(e.tid):
			return 2
		}
		return 1
	}
	slices.SortStableFunc(batch, func(a, b waitEvent) int { return rank(&a) - rank(&b) })
}
