package ipc

import (
	"bytes"
	"errors"
	"io"

	"github.com/fstrace/fstrace/events"
)

// Record returns the rest of the stream as a JSONL record, byte for byte as fstrace -f
// jsonl writes it. Reading fails with [ErrGone] if the daemon ends before the record.
func (s *Stream) Record() io.Reader { return &recordReader{stream: s} }

// Replay passes the rest of the stream to a sink. It returns the first error of the sink,
// or that of the stream.
func (s *Stream) Replay(sink events.Sink) error {
	d := events.NewDecoder(s.Record())
	h, err := d.Header()
	if err != nil {
		return s.cutOff(err)
	}
	if err := sink.Begin(h); err != nil {
		return err
	}
	for {
		e, err := d.Next()
		if err == io.EOF {
			return sink.End(d.Trailer())
		}
		if err != nil {
			return s.cutOff(err)
		}
		if err := sink.Event(e); err != nil {
			return err
		}
	}
}

// cutOff says why a record has no trailer, if the daemon did.
func (s *Stream) cutOff(err error) error {
	if errors.Is(err, events.ErrCutOff) && s.result != nil && s.result.Error != "" {
		return errors.New(s.result.Error)
	}
	return err
}

// A recordReader makes lines of updates.
type recordReader struct {
	stream *Stream
	buf    bytes.Buffer
}

func (r *recordReader) Read(b []byte) (int, error) {
	for r.buf.Len() == 0 {
		u, err := r.stream.Next()
		if err != nil {
			return 0, err
		}
		r.line(u.Start)
		for _, e := range u.Events {
			r.line(e)
		}
		r.line(u.End)
	}
	return r.buf.Read(b)
}

func (r *recordReader) line(b []byte) {
	if len(b) > 0 {
		r.buf.Write(b)
		r.buf.WriteByte('\n')
	}
}

// splitEvents takes a batch of events apart, in the form in which our server writes it:
// nearly all of a long stream, and encoding/json would go over it several times. No
// string holds what stands between two events, for there its quotes are escaped, and no
// field of an event holds objects that begin like one.
func splitEvents(data []byte, session string) ([][]byte, bool) {
	const begin, middle, end = `{"parameters":{"session":"`, `","events":[`, `]},"continues":true}`
	rest, ok := bytes.CutPrefix(data, []byte(begin))
	if !ok || session == "" {
		return nil, false
	}
	if rest, ok = bytes.CutPrefix(rest, []byte(session+middle)); !ok {
		return nil, false
	}
	if rest, ok = bytes.CutSuffix(rest, []byte(end)); !ok || !bytes.HasPrefix(rest, []byte(`{"seq":`)) {
		return nil, false
	}
	var lines [][]byte
	for {
		i := bytes.Index(rest, []byte(`},{"seq":`))
		if i < 0 {
			return append(lines, rest), true
		}
		lines = append(lines, rest[:i+1])
		rest = rest[i+2:]
	}
}
