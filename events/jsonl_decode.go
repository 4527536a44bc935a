package events

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/fstrace/fstrace/internal/jsonstring"
)

// Errors of a [Decoder], for use with errors.Is.
var (
	// ErrCutOff means that the input ends before the trailer. The events before it are
	// valid, but the record must be treated as incomplete.
	ErrCutOff = errors.New("the record is cut off: it has no trailer")

	// ErrVersion means that this package cannot read this version of the format.
	ErrVersion = errors.New("unknown version of the record format")
)

// maxLine is more than the kernel lets a command have: 6 MiB of arguments and environment
// at most, each byte of them six in JSON.
const maxLine = 64 << 20

// A Decoder reads the records that [JSONL] writes. It ignores unknown fields, because
// later versions may add some. It must not be used by several goroutines at the same
// time.
type Decoder struct {
	r       *bufio.Reader
	long    []byte // a line longer than r's buffer
	number  int    // of the line last read, from 1
	header  *Header
	trailer *Trailer
	err     error // what Next returns from now on
}

// NewDecoder returns a decoder that reads from r. It buffers, and may read beyond the end
// of the record.
func NewDecoder(r io.Reader) *Decoder {
	return &Decoder{r: bufio.NewReaderSize(r, 64<<10)}
}

// Header returns the first line of the record. It may be called before or after Next.
func (d *Decoder) Header() (*Header, error) {
	if d.header == nil && d.err == nil {
		d.header, d.err = d.readHeader()
	}
	if d.header == nil {
		return nil, d.err
	}
	return d.header, nil
}

// Next returns the next event, which the caller may keep. After the last event it returns
// io.EOF, if the record has a trailer and the input ends there, and [ErrCutOff] if there
// is no trailer. Errors name the line of the input.
func (d *Decoder) Next() (*Event, error) {
	if _, err := d.Header(); err != nil {
		return nil, err
	}
	if d.err != nil {
		return nil, d.err
	}
	var e *Event
	e, d.err = d.readEvent()
	return e, d.err
}

// Trailer returns the last line of the record, or nil if Next has not returned io.EOF
// yet.
func (d *Decoder) Trailer() *Trailer {
	if d.err != io.EOF {
		return nil
	}
	return d.trailer
}

func (d *Decoder) readHeader() (*Header, error) {
	var w wireHeader
	if err := d.readLine(&w); err != nil {
		return nil, err
	}
	switch {
	case w.Fstrace == nil:
		return nil, d.errorf(`not a record of fstrace: no "fstrace" field`)
	case *w.Fstrace != jsonlVersion:
		return nil, d.errorf("version %d: %w", *w.Fstrace, ErrVersion)
	}
	return &Header{
		Session: jsonstring.Join(w.Session, w.SessionBytes),
		Argv:    jsonstring.JoinAll(w.Argv, w.ArgvBytes),
		Cwd:     jsonstring.Join(w.Cwd, w.CwdBytes),
	}, nil
}

func (d *Decoder) readEvent() (*Event, error) {
	var w wireLine
	if err := d.readLine(&w); err != nil {
		return nil, err
	}
	if w.End != nil {
		t, err := w.trailer()
		if err != nil {
			return nil, d.errorf("trailer: %w", err)
		}
		d.trailer = t
		return nil, d.readEnd()
	}
	e, err := w.event()
	if err != nil {
		return nil, d.errorf("event: %w", err)
	}
	return e, nil
}

// readEnd makes sure that nothing follows the trailer: of two records one after the
// other, the second must not go unnoticed.
func (d *Decoder) readEnd() error {
	switch _, err := d.r.Peek(1); err {
	case nil:
		d.number++
		return d.errorf("text after the trailer")
	case io.EOF:
		return io.EOF
	default:
		return d.errorf("read: %w", err)
	}
}

// readLine decodes the next line into w. A line that is no object because the input ends
// within it is cut off, not malformed.
func (d *Decoder) readLine(w any) error {
	line, whole, err := d.nextLine()
	if err != nil {
		return err
	}
	err = json.Unmarshal(line, w)
	switch {
	case err == nil && !utf8.Valid(line): // encoding/json would put U+FFFD there and say nothing
		return d.errorf("not UTF-8")
	case err == nil:
		return nil
	case !whole:
		return d.errorf("%w", ErrCutOff)
	}
	return d.errorf("%w", err)
}

// nextLine returns the next line without its end, which is valid until the next call, and
// whether it had an end.
func (d *Decoder) nextLine() (line []byte, whole bool, err error) {
	d.number++
	d.long = d.long[:0]
	for {
		part, err := d.r.ReadSlice('\n')
		if err == nil && len(d.long) == 0 {
			return part[:len(part)-1], true, nil
		}
		if len(d.long)+len(part) > maxLine {
			return nil, false, d.errorf("longer than %d bytes", maxLine)
		}
		d.long = append(d.long, part...)
		switch {
		case err == nil:
			return d.long[:len(d.long)-1], true, nil
		case err == bufio.ErrBufferFull:
		case err != io.EOF:
			return nil, false, d.errorf("read: %w", err)
		case len(d.long) == 0:
			return nil, false, d.errorf("%w", ErrCutOff)
		default:
			return d.long, false, nil
		}
	}
}

// errorf returns an error that names the line last read.
func (d *Decoder) errorf(format string, args ...any) error {
	return fmt.Errorf("line %d: %w", d.number, fmt.Errorf(format, args...))
}
