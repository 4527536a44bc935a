package ipc

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fstrace/fstrace/events"
)

// A recorder is the sink of a session's record: it encodes each event once, into the
// spool. Header and trailer are kept in memory.
//
// It never fails. A record that does not fit is incomplete, and says so.
type recorder struct {
	session *session
	spool   *spool
	line    bytes.Buffer // what the encoder has written last
	jsonl   *events.JSONL
}

func newRecorder(s *session, sp *spool) *recorder {
	r := &recorder{session: s, spool: sp}
	r.jsonl = events.NewJSONL(&r.line)
	return r
}

// Begin makes the session known by its id.
func (r *recorder) Begin(h *events.Header) error {
	if err := r.jsonl.Begin(h); err != nil {
		return err
	}
	r.session.begin(h, r.take())
	return nil
}

// Event spools an event.
func (r *recorder) Event(e *events.Event) error {
	if err := r.jsonl.Event(e); err != nil {
		return err
	}
	if err := r.jsonl.Flush(); err != nil {
		return err
	}
	r.spool.append(e.Seq, r.line.Bytes())
	r.line.Reset()
	return nil
}

// End makes the trailer, with what the spool has lost.
func (r *recorder) End(t *events.Trailer) error {
	trailer := *t
	if dropped, err := r.spool.seal(); dropped > 0 {
		trailer.Incomplete = append(slices.Clone(t.Incomplete), events.Incomplete{
			Reason: events.ReasonSpoolFull,
			Detail: fmt.Sprintf("%d events are missing at the end: write spool: %v", dropped, err),
		})
	}
	if err := r.jsonl.End(&trailer); err != nil {
		return err
	}
	r.session.finish(&trailer, r.take())
	return nil
}

// take returns the line that was written last, without its end.
func (r *recorder) take() []byte {
	_ = r.jsonl.Flush() // to memory
	line := bytes.TrimSuffix(bytes.Clone(r.line.Bytes()), []byte{'\n'})
	r.line.Reset()
	return line
}

// counting counts the events that pass, for the statistics.
type counting struct {
	events.Sink
	count func()
}

func (c counting) Event(e *events.Event) error {
	c.count()
	return c.Sink.Event(e)
}

// both gives a record to two sinks. The first has its end first.
type both struct{ first, second events.Sink }

func (b both) Begin(h *events.Header) error {
	if err := b.first.Begin(h); err != nil {
		return err
	}
	return b.second.Begin(h)
}

func (b both) Event(e *events.Event) error {
	if err := b.first.Event(e); err != nil {
		return err
	}
	return b.second.Event(e)
}

func (b both) End(t *events.Trailer) error {
	return errors.Join(b.first.End(t), b.second.End(t))
}

// stamp gives a time as RFC 3339 has it.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}
