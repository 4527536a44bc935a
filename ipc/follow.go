package ipc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
)

// batchSize is how much of a record a reply has, about.
const batchSize = 128 << 10

// methodSubscribe follows a session for a client.
func (s *Server) methodSubscribe(r *request) error {
	var p wireSubscribe
	if err := decodeParameters(r.Parameters, &p); err != nil {
		return err
	}
	if !r.More {
		return newError(ErrExpectedMore)
	}
	n, err := s.find(p.Session)
	if err != nil {
		return err
	}
	r.understood()
	n.subscribe()
	defer n.leave()
	select {
	case <-n.started:
	case <-r.gone:
		return errBrokenOff
	}
	return r.stream(n, p.From, true)
}

// stream sends a session's record, from an event on, as it comes.
//
// A client that does not read holds up this very goroutine, in a write, and nobody
// else: all that waits for it is in the spool.
func (r *request) stream(n *session, from uint64, withEvents bool) error {
	first := n.first()
	if err := r.update(first); err != nil {
		return err
	}
	if n.wasExecuted() {
		if err := r.update(wireUpdate{Session: first.Session, Running: true}); err != nil {
			return err
		}
	}
	if withEvents {
		if err := r.streamEvents(n, from); err != nil {
			return err
		}
	}
	return r.awaitEnd(n)
}

// update sends a reply that others follow.
func (r *request) update(u wireUpdate) error {
	parameters, err := encode(u)
	if err != nil {
		return err
	}
	return r.send(reply{Parameters: parameters, Continues: true})
}

// streamEvents sends events until there will be no more.
func (r *request) streamEvents(n *session, from uint64) error {
	var offset int64
	var err error
	if r.reader == nil {
		if r.reader, offset, err = n.spool.follow(from); err != nil {
			return n.replayGone(err)
		}
	}
	defer r.reader.close()
	head := []byte(`{"parameters":{"session":` + strconv.Quote(n.id()) + `,"events":[`)
	var buf, out []byte
	for {
		end, finished, changed := n.spool.state()
		for offset < end {
			if buf, err = n.spool.read(buf, offset, end, batchSize); err != nil {
				return n.replayGone(err)
			}
			offset += int64(len(buf))
			lines := since(buf, from)
			if len(lines) == 0 || r.Oneway {
				r.reader.advance(offset)
				continue
			}
			out = append(out[:0], head...)
			out = appendList(out, lines)
			out = append(out, `]},"continues":true}`...)
			if err := writeFrame(r.conn, out, nil); err != nil {
				return err
			}
			r.reader.advance(offset)
			if cap(buf) > 4*batchSize || cap(out) > 8*batchSize {
				buf, out = nil, nil // one event was huge
			}
		}
		if finished {
			return nil
		}
		select {
		case <-changed:
		case <-r.gone:
			return errBrokenOff
		}
	}
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

// replayGone tells a spool that was given up from one that cannot be read.
func (n *session) replayGone(err error) error {
	if errors.Is(err, os.ErrClosed) {
		return n.server.gone(n.id())
	}
	var trimmed errTrimmed
	if errors.As(err, &trimmed) {
		return newError(ErrReplayGone, "session", n.id(), "first", trimmed.first, "message", fmt.Sprintf(
			"the events of session %s before %d are not kept any more: they had been read, and there was no more room (--spool-bytes)", n.id(), trimmed.first))
	}
	return newError(ErrReplayGone, "session", n.id(), "first", 0, "message", "read spool: "+err.Error())
}

// awaitEnd waits for the session's end, and sends the last reply.
func (r *request) awaitEnd(n *session) error {
	select {
	case <-n.done:
	case <-r.gone:
		if !n.isDone() {
			return errBrokenOff
		}
	}
	return r.reply(n.last())
}

// first is what a stream begins with.
func (n *session) first() wireUpdate {
	n.mu.Lock()
	defer n.mu.Unlock()
	return wireUpdate{Session: n.header.Session, Start: json.RawMessage(n.headerLine)}
}

// last is what it ends with.
func (n *session) last() wireUpdate {
	n.mu.Lock()
	defer n.mu.Unlock()
	result := n.result
	return wireUpdate{Session: n.header.Session, End: json.RawMessage(n.trailerLine), Result: &result}
}

// wasExecuted tells whether the command was.
func (n *session) wasExecuted() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.executed
}
