package events

import (
	"io"
	"strconv"
	"time"

	"github.com/fstrace/fstrace/internal/jsonstring"
)

// jsonlVersion is the "fstrace" of a header. It rises when a reader of today would
// misread what is written, never for a new field.
const jsonlVersion = 1

const (
	jsonlChunk = 64 << 10 // a write to the file at least this often
	jsonlSlack = 8 << 10  // a buffer that is flushed often need not be larger
	jsonlKeep  = 1 << 20  // a buffer that one event with a huge argv grew beyond this is let go
)

// JSONL is a [Sink] that writes one JSON object per line: the header, each event, the
// trailer (docs/jsonl.md). [Decoder] reads it.
//
// It appends fields to one buffer, without reflection and without allocating, because
// events arrive faster than encoding/json could write them.
type JSONL struct {
	w   io.Writer
	buf []byte
	err error // the writer's first error; nothing is written after it

	second int64  // the second that stamp is for
	stamp  []byte // its date and time, without the fraction
}

// NewJSONL returns a sink that writes to w in blocks of about 64 KiB, of whole lines. End
// and Flush write the rest. The caller closes w.
func NewJSONL(w io.Writer) *JSONL {
	return &JSONL{w: w, buf: make([]byte, 0, jsonlSlack)}
}

// Begin writes the header.
func (j *JSONL) Begin(h *Header) error {
	b := append(j.buf, `{"fstrace":`...)
	b = strconv.AppendInt(b, jsonlVersion, 10)
	b = jsonstring.AppendField(b, `,"session`, h.Session)
	b = jsonstring.AppendListField(b, `,"argv`, h.Argv)
	b = jsonstring.AppendField(b, `,"cwd`, h.Cwd)
	return j.line(b)
}

// Event writes e.
func (j *JSONL) Event(e *Event) error {
	b := append(j.buf, `{"seq":`...)
	b = strconv.AppendUint(b, e.Seq, 10)
	b = append(b, `,"time":`...)
	b = j.appendTime(b, e.Time)
	b = append(b, `,"pid":`...)
	b = strconv.AppendInt(b, int64(e.PID), 10)
	b = append(b, `,"tid":`...)
	b = strconv.AppendInt(b, int64(e.TID), 10)
	b = jsonstring.AppendField(b, `,"op`, e.Op.String())
	b = jsonstring.AppendFieldIfSet(b, `,"syscall`, e.Syscall)
	b = jsonstring.AppendFieldIfSet(b, `,"abi`, e.ABI)
	b = jsonstring.AppendFieldIfSet(b, `,"path`, e.Path)
	b = jsonstring.AppendFieldIfSet(b, `,"as`, e.As)
	if len(e.Flags) > 0 {
		b = jsonstring.AppendListField(b, `,"flags`, e.Flags)
	}
	b = jsonstring.AppendFieldIfSet(b, `,"state`, e.State.String())
	b = jsonstring.AppendFieldIfSet(b, `,"to`, e.To)
	b = jsonstring.AppendFieldIfSet(b, `,"toAs`, e.ToAs)
	b = jsonstring.AppendFieldIfSet(b, `,"toState`, e.ToState.String())
	b = jsonstring.AppendFieldIfSet(b, `,"target`, e.Target)
	b = appendLinks(b, e.Links)
	b = jsonstring.AppendFieldIfSet(b, `,"real`, e.Real)
	b = jsonstring.AppendFieldIfSet(b, `,"address`, e.Address)
	if e.Result == Succeeded {
		b = append(b, `,"result":0`...)
	} else {
		b = jsonstring.AppendFieldIfSet(b, `,"result`, e.Result)
	}
	if e.PPID != 0 {
		b = append(b, `,"ppid":`...)
		b = strconv.AppendInt(b, int64(e.PPID), 10)
	}
	if len(e.Argv) > 0 || e.IsProcess() && e.Op != OpExit {
		b = jsonstring.AppendListField(b, `,"argv`, e.Argv)
	}
	b = jsonstring.AppendFieldIfSet(b, `,"exe`, e.Exe)
	b = jsonstring.AppendFieldIfSet(b, `,"cwd`, e.Cwd)
	if e.Exit != nil {
		b = append(b, ',')
		b = appendExit(b, e.Exit)
	}
	return j.line(b)
}

// End writes the trailer, and everything that is still buffered.
func (j *JSONL) End(t *Trailer) error {
	b := append(j.buf, `{"end":`...)
	b = j.appendTime(b, t.End)
	b = append(b, `,"exit":{`...)
	b = appendExit(b, &t.Exit)
	b = append(b, `},"complete":`...)
	b = strconv.AppendBool(b, t.Complete())
	b = append(b, `,"incomplete":[`...)
	for i := range t.Incomplete {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendIncomplete(b, &t.Incomplete[i])
	}
	b = append(b, `],"counts":{"events":`...)
	b = strconv.AppendUint(b, t.Counts.Total(), 10)
	for op, n := range t.Counts {
		if n > 0 && op != int(OpNone) {
			b = append(b, `,"`...)
			b = append(b, Op(op).String()...)
			b = append(b, `":`...)
			b = strconv.AppendUint(b, n, 10)
		}
	}
	b = append(b, '}')
	if err := j.line(b); err != nil {
		return err
	}
	return j.Flush()
}

// line ends the object that b, the grown buffer, ends with.
func (j *JSONL) line(b []byte) error {
	if j.err != nil {
		return j.err
	}
	j.buf = append(b, '}', '\n')
	if len(j.buf) < jsonlChunk {
		return nil
	}
	return j.Flush()
}

// Flush writes the buffered lines. It returns the first error of the writer, and so does
// every later call of any method.
func (j *JSONL) Flush() error {
	if j.err == nil && len(j.buf) > 0 {
		j.err = writeAll(j.w, j.buf)
	}
	if cap(j.buf) > jsonlKeep {
		j.buf = make([]byte, 0, jsonlSlack)
	}
	j.buf = j.buf[:0]
	return j.err
}

// writeAll is w.Write for writers that may break io.Writer's promise of an error with
// each short write.
func writeAll(w io.Writer, b []byte) error {
	n, err := w.Write(b)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	return err
}

// appendTime appends t in UTC with nine digits of fraction. Events come thousands to the
// second, so the date is formatted once a second.
func (j *JSONL) appendTime(b []byte, t time.Time) []byte {
	if s := t.Unix(); s != j.second || len(j.stamp) == 0 {
		j.second = s
		j.stamp = t.UTC().AppendFormat(j.stamp[:0], `"2006-01-02T15:04:05.`)
	}
	b = append(b, j.stamp...)
	n := t.Nanosecond()
	var digits [9]byte
	for i := len(digits) - 1; i >= 0; i-- {
		digits[i] = byte('0' + n%10)
		n /= 10
	}
	b = append(b, digits[:]...)
	return append(b, `Z"`...)
}

func appendLinks(b []byte, links []Link) []byte {
	if len(links) == 0 {
		return b
	}
	b = append(b, `,"links":[`...)
	for i := range links {
		if i > 0 {
			b = append(b, ',')
		}
		b = jsonstring.AppendField(b, `{"path`, links[i].Path)
		b = jsonstring.AppendField(b, `,"target`, links[i].Target)
		b = append(b, '}')
	}
	return append(b, ']')
}

func appendIncomplete(b []byte, i *Incomplete) []byte {
	b = jsonstring.AppendField(b, `{"reason`, string(i.Reason))
	if i.PID != 0 {
		b = append(b, `,"pid":`...)
		b = strconv.AppendInt(b, int64(i.PID), 10)
	}
	b = jsonstring.AppendFieldIfSet(b, `,"detail`, i.Detail)
	return append(b, '}')
}
