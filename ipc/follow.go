package ipc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/ipc/internal/varlink"
)

// methodSubscribe follows a session for a client.
func (s *Server) methodSubscribe(r *request) error {
	var p wireSubscribe
	if err := decodeParameters(r.Parameters, &p); err != nil {
		return err
	}
	if !r.More {
		return newError(ErrExpectedMore)
	}
	v, err := newView(p.From, p.Only, p.Ignore, p.BatchBytes, p.LatencyMs, "")
	if err != nil {
		return err
	}
	for name, lists := range map[string][2][]string{"only": {p.Only, nil}, "ignore": {nil, p.Ignore}} {
		if _, err := events.Filter(nil, lists[0], lists[1]); err != nil {
			return invalidParameter(name)
		}
	}
	n, err := s.registry.find(p.Session)
	if err != nil {
		return err
	}
	if err := r.reserve(v); err != nil {
		return err
	}
	r.releaseMessage()
	n.subscribe()
	defer n.leave()
	select {
	case <-n.started:
	case <-r.gone:
		return varlink.ErrBrokenOff
	}
	return r.stream(n, v)
}

// stream sends a session's record as it comes, as a client wants to view it: without a
// view, only its beginning and its end.
//
// A client that does not read blocks this goroutine, in a write, and no
// else: all that waits for it is in the spool.
func (r *request) stream(n *session, v *view) error {
	first := n.first()
	if err := r.update(first); err != nil {
		return err
	}
	if n.wasExecuted() {
		if err := r.update(wireUpdate{Session: first.Session, Running: true}); err != nil {
			return err
		}
	}
	if v != nil {
		if err := r.streamEvents(n, v); err != nil {
			return err
		}
	}
	return r.awaitEnd(n)
}

// update sends a reply that others follow.
func (r *request) update(u wireUpdate) error {
	parameters, err := varlink.Encode(u)
	if err != nil {
		return err
	}
	return r.send(varlink.Reply{Parameters: parameters, Continues: true})
}

// streamEvents sends events until there will be no more.
func (r *request) streamEvents(n *session, v *view) error {
	var offset int64
	var err error
	if r.reader == nil {
		if r.reader, offset, err = n.spool.follow(v.from); err != nil {
			return n.replayGone(err)
		}
	}
	defer r.reader.close()
	head := []byte(`{"parameters":{"session":` + strconv.Quote(n.id()) + `,"events":[`)
	filter := newLineFilter(v, n.first().Start)
	var buf, out []byte
	for {
		end, finished, changed := r.gather(n, v, offset)
		for offset < end {
			if buf, err = n.spool.read(buf, offset, end, v.batch); err != nil {
				return n.replayGone(err)
			}
			offset += int64(len(buf))
			lines := since(buf, v.from)
			if filter != nil {
				if lines, err = filter.pick(lines); err != nil {
					return n.replayGone(err)
				}
			}
			if len(lines) == 0 || r.Oneway {
				r.reader.advance(offset)
				continue
			}
			out = append(out[:0], head...)
			out = appendList(out, lines)
			out = append(out, `]},"continues":true}`...)
			if err := varlink.Write(r.conn, out, nil); err != nil {
				return err
			}
			r.reader.advance(offset)
			if cap(buf) > 4*v.batch || cap(out) > 8*v.batch {
				buf, out = nil, nil // one event was huge
			}
		}
		if finished {
			return nil
		}
		select {
		case <-changed:
		case <-r.gone:
			return varlink.ErrBrokenOff
		}
	}
}

// gather waits until there is a batch of events, the oldest has waited for long enough,
// or there will be no more; and then returns what the spool says.
func (r *request) gather(n *session, v *view, offset int64) (end int64, finished bool, changed <-chan struct{}) {
	end, finished, changed = n.spool.state()
	if v.latency == 0 || end == offset {
		return end, finished, changed
	}
	over := time.NewTimer(v.latency)
	defer over.Stop()
	for !finished && end-offset < int64(v.batch) {
		select {
		case <-changed:
			end, finished, changed = n.spool.state()
		case <-over.C:
			return end, finished, changed
		case <-r.gone:
			return end, finished, changed
		}
	}
	return end, finished, changed
}

// since cuts off the lines of events before seq: those of a range that has only begun.
func since(lines []byte, seq uint64) []byte {
	for len(lines) > 0 && seqOf(lines) < seq {
		_, lines, _ = bytes.Cut(lines, []byte{'\n'})
	}
	return lines
}

// appendList appends lines as the elements of an array. No line has a newline but at
// its end: strings have it escaped.
func appendList(b, lines []byte) []byte {
	at := len(b)
	b = append(b, lines[:len(lines)-1]...)
	for {
		i := bytes.IndexByte(b[at:], '\n')
		if i < 0 {
			return b
		}
		at += i
		b[at] = ','
	}
}

// replayGone distinguishes a spool that was given up from one that cannot be read.
func (s *session) replayGone(err error) error {
	if errors.Is(err, os.ErrClosed) {
		return s.server.registry.gone(s.id())
	}
	var trimmed errTrimmed
	if errors.As(err, &trimmed) {
		return newError(ErrReplayGone, "session", s.id(), "first", trimmed.first, "message", fmt.Sprintf(
			"the events of session %s before %d are not kept any more: they had been read, and there was no more room (--spool-bytes)", s.id(), trimmed.first))
	}
	return newError(ErrReplayGone, "session", s.id(), "first", 0, "message", "read spool: "+err.Error())
}

// awaitEnd waits for the session's end, and sends the last reply.
func (r *request) awaitEnd(n *session) error {
	select {
	case <-n.done:
	case <-r.gone:
		if !n.isDone() {
			return varlink.ErrBrokenOff
		}
	}
	return r.reply(n.last())
}

// first is what a stream begins with.
func (s *session) first() wireUpdate {
	s.mu.Lock()
	defer s.mu.Unlock()
	return wireUpdate{Session: s.header.Session, Start: json.RawMessage(s.headerLine)}
}

// last is what it ends with.
func (s *session) last() wireUpdate {
	s.mu.Lock()
	defer s.mu.Unlock()
	result := s.result
	return wireUpdate{Session: s.header.Session, End: json.RawMessage(s.trailerLine), Result: &result}
}

// wasExecuted reports whether the command was.
func (s *session) wasExecuted() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.executed
}
