package tracer

import (
	"slices"

	"golang.org/x/sys/unix"
)

// A waitEvent is one report of wait4 on a tracee, with the message of its stop, if it has
// one. The message can be read only while the tracee is stopped, so it is read with the
// report.
type waitEvent struct {
	tid     int
	status  unix.WaitStatus
	message int // the new tid of a clone event, the former tid of an exec event
}

// An eventKind is the meaning of a wait status of a seized tracee: ptrace(2), "Stopped
// states".
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
//  4. exits, so that what a process did comes before its end.
//
// The sort is stable, so the events of one tid keep their order. The kernel reports in
// any order: the first stop of a child often comes before the event of its parent that
// names it, in the same batch or in an earlier one. In the latter case the follower
// adopts the child (follow.go).
//
// Draining stops at the second event of a tid. That is its death after a stop, because
// the tid is resumed only when the batch is handled; or, after a death, the first stop of
// a new thread with the same number, which stays last.
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
