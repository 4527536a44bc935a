package events

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// Errors of a [Decoder], to be told apart with errors.Is.
var (
	// ErrCutOff: the input ended before the trailer. What was read is true, but
	// the writer did not get to say what it may have missed.
	ErrCutOff = errors.New("the record is cut off: it has no trailer")

	// ErrVersion: the record is of a version that this package cannot read.
	ErrVersion = errors.New("unknown version of the record format")
)

// maxLine is more than the kernel lets a command have: 6 MiB of arguments and
// environment at most, each byte of them six in JSON.
const maxLine = 64 << 20

// A Decoder reads what [JSONL] writes. It passes over fields that it does not
// know: a later fstrace may add some.
type Decoder struct {
	r       *bufio.Reader
	long    []byte // a line longer than r's buffer
	number  int    // of the line last read, from 1
	header  *Header
	trailer *Trailer
	err     error // what Next returns from now on
}

// NewDecoder returns a decoder that reads r, and more of it than the record if
// there is more.
func NewDecoder(r io.Reader) *Decoder {
	return &Decoder{r: bufio.NewReaderSize(r, 64<<10)}
}

// Header returns the record's first line, reading it if that has not been done.
func (d *Decoder) Header() (*Header, error) {
	if d.header == nil && d.err == nil {
		d.header, d.err = d.readHeader()
	}
	if d.header == nil {
		return nil, d.err
	}
	return d.header, nil
}

// Next returns the next event, which is the caller's to keep. At the end of a
// record it returns io.EOF, if that is where the input ends as well; without a
// trailer there, [ErrCutOff].
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

// Trailer returns the record's last line, nil until Next has returned io.EOF.
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
		Session: w.Session.string(w.SessionBytes),
		Argv:    w.Argv.strings(w.ArgvBytes),
		Cwd:     w.Cwd.string(w.CwdBytes),
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

// readEnd makes sure that nothing follows the trailer: of two records one after
// the other, the second must not go unnoticed.
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

// readLine decodes the next line into w. A line that is no object because the
// input ends within it is cut off, not malformed.
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

// nextLine returns the next line without its end, which is valid until the
// next call, and whether it had an end.
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
