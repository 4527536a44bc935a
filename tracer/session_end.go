package tracer

import (
	"fmt"
	"slices"
	"time"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/tracer/internal/observe"
)

// finish sees the session to its end, when the tracer thread has come to its own.
func (s *session) finish() {
	end := <-s.traced
	s.result.Ending = ask(s.owner, func(r chan<- Ending) message { return msgEnding{r} })
	s.result.Status, s.result.Exit, s.result.Usage = end.status, exitOf(end.status), end.usage
	if end.err != nil {
		s.incomplete.add(events.ReasonUntraced, 0, end.err.Error())
	}
	for _, p := range end.released {
		s.nameRunning(p, slices.Contains(end.stuck, p))
	}
	if s.outer != nil {
		s.outer.finish(!s.leavesRest())
	}
	running := s.drain(len(end.released) > 0)
	s.endReceiving(running)
	ask(s.owner, func(r chan<- bool) message { return msgSettle{all: !running && s.listener != nil, reply: r} })
	s.owner.close()
	s.queue.close()
	if err := <-s.consumed; s.err == nil {
		s.err = err
	}
	s.inners.close()
	s.result.Calls = s.recordings.counts()
	if s.receiver != nil {
		s.result.Calls.Notified = s.receiver.notified.Load()
	}
	s.recordings.close()
	s.result.Incomplete = s.incomplete.list()
	s.end()
	s.result.Err = s.err
	close(s.done)
}

// drain waits for the receiver to have seen every call that the session is to record, and
// reports whether processes still have the filter.
func (s *session) drain(running bool) bool {
	if s.listener == nil {
		return false
	}
	if !running && s.cmd.WaitFor == WaitRoot {
		// The filter goes with its last thread; before Linux 6.11 only when that is
		// reaped, by its parent.
		const reaping = 200 * time.Millisecond
		running = !s.listener.WaitHangup(reaping)
		if running && s.inners != nil && s.inners.killed.Load() { // that takes its time on a busy machine
			running = !s.listener.WaitHangup(exiting)
		}
		if running {
			s.nameEscaped()
		}
	}
	if !running {
		s.listener.WaitHangup(-1)
	}
	return running
}

// endReceiving ends the recording, and what served it: at once if no process has the
// filter any more, else when that is so, or when this process ends.
func (s *session) endReceiving(running bool) {
	if s.listener == nil {
		return
	}
	s.receiver.retire()
	if running && s.keeper.need() != nil { // nobody else is there: this process must stay
		s.listener.WaitHangup(-1)
		running = false
	}
	if running {
		go func() {
			s.awaitReceived()
			s.keeper.await()
			_ = s.listener.Close()
		}()
		return
	}
	s.awaitReceived()
	s.keeper.dismiss()
	_ = s.listener.Close()
}

// awaitReceived waits until no process has the filter any more, and the receiver has
// ended.
func (s *session) awaitReceived() {
	if !s.listener.SyncWakeUp() {
		s.listener.WaitHangup(-1)
		s.receiver.wakeLeader()
	}
	<-s.received
}

// untracedEnded notes the end of a process that ptrace does not follow.
func (s *session) untracedEnded(p *process, exit *events.Exit) {
	s.registry.removeAll(p)
	s.queue.process(p, exitEvent(p, exit))
}

// nameRunning notes a descendant that outlives the session.
func (s *session) nameRunning(p *process, stuck bool) {
	detail := stillRunning(s.registry.program(p))
	if stuck {
		detail += ": in a call that no signal ends, killed when it returns"
	}
	s.incomplete.add(events.ReasonRunning, p.pid, detail)
}

// stillRunning describes a process that outlives the session.
func stillRunning(exe string, argv []string) string {
	if len(argv) > 0 {
		return fmt.Sprintf("still running: %s (%q)", exe, argv)
	}
	return "still running: " + exe
}

// nameEscaped notes the descendants that outlive the session though ptrace knows
// of none: those known by their calls, or else that there is one.
func (s *session) nameEscaped() {
	named := false
	for _, p := range ask(s.owner, func(r chan<- []*process) message { return msgLiving{r} }) {
		s.nameRunning(p, false)
		named = true
	}
	if !named {
		s.incomplete.add(events.ReasonRunning, 0, "a process that could not be followed is still running")
	}
}

// end gives the sink the record's last part.
func (s *session) end() {
	t := events.Trailer{
		End: time.Now(), Exit: s.result.Exit, Incomplete: s.result.Incomplete, Counts: s.counts,
	}
	if s.err != nil {
		return // the record is broken already: it must stay visibly cut off
	}
	if err := s.cmd.Sink.End(&t); err != nil {
		s.err = fmt.Errorf("end record: %w", err)
	}
}

// consume makes events of the queue's entries and gives them to the sink. A sink
// that fails gets no more; the command goes on.
func (s *session) consume() {
	failed := s.err // by Begin
	var seq uint64
	var m observe.Maker
	give := func(e *events.Event) {
		seq++
		e.Seq = seq
		s.counts.Add(e)
		if failed == nil {
			failed = s.cmd.Sink.Event(e)
		}
	}
	var batch []*entry
	for {
		var more bool
		if batch, more = s.queue.take(batch[:0]); !more {
			break
		}
		for _, en := range batch {
			switch {
			case en.dropped:
			case en.then != nil:
				en.then()
			case en.process != nil:
				give(en.process)
				s.inners.event(en.family, en.of, en.process)
			case en.family != nil:
				m.Make(&en.access, func(e *events.Event) {
					give(e)
					s.inners.event(en.family, en.of, e)
				})
			default:
				m.Make(&en.access, give)
			}
		}
		s.inners.flush()
		s.owner.mail.flush()
		s.queue.recycle(batch)
	}
	s.consumed <- failed
}
