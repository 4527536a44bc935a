package nested

import (
	"encoding/binary"
	"errors"
)

// The call by which an inner fstrace finds an outer one: seccomp(Magic, Version, Check).
// There is no such operation: the kernel says EINVAL. A filter sees the registers, so
// that nothing of the caller's memory has to be read.
const (
	Magic   = 0x66737472 // the operation, an int
	Version = 1          // flags, an unsigned int; it changes when the messages do
	Check   = 0x6e657374 // the pointer, which points nowhere
)

// A Kind is the first byte of a message.
type Kind byte

// Messages of the inner fstrace.
const (
	KindJoin   Kind = 'J' // Join
	KindSignal Kind = 'S' // Signal
	KindFinish Kind = 'F' // Finish
)

// Messages of the outer fstrace.
const (
	KindGuard   Kind = 'G' // with a socket for the guard's questions, if there is a guard
	KindJoined  Kind = 'Y' // the command may go on
	KindRefused Kind = 'N' // Refused
	KindEvent   Kind = 'E' // an event
	KindMounts  Kind = 'M' // Mounts
	KindDone    Kind = 'D' // Done: the last message
)

// Sizes of messages, with what precedes them.
const (
	headSize = 4 // the message's length
	// MaxRequest is the longest message of the inner fstrace.
	MaxRequest = 64
	// MaxMessage is the longest of the outer one: an event has a command's arguments, of
	// which the kernel allows 6 MiB.
	MaxMessage = 8 << 20
	// MaxQuestion is the longest question to a guard, and more than the longest answer.
	MaxQuestion = 16 << 10
)

// errMalformed says that a message is not what its kind demands.
var errMalformed = errors.New("malformed message")

// An encoder appends fields to a message.
type encoder struct{ b []byte }

func (e *encoder) uint(v uint64)   { e.b = binary.AppendUvarint(e.b, v) }
func (e *encoder) int(v int64)     { e.b = binary.AppendVarint(e.b, v) }
func (e *encoder) string(s string) { e.uint(uint64(len(s))); e.b = append(e.b, s...) }

func (e *encoder) bool(v bool) {
	if v {
		e.b = append(e.b, 1)
	} else {
		e.b = append(e.b, 0)
	}
}

func (e *encoder) strings(list []string) {
	e.uint(uint64(len(list)))
	for _, s := range list {
		e.string(s)
	}
}

// begin begins a message; end fills in its length.
func begin(b []byte, k Kind) (e encoder, at int) {
	at = len(b)
	e.b = append(b, 0, 0, 0, 0, byte(k))
	return e, at
}

func (e *encoder) end(at int) []byte {
	binary.LittleEndian.PutUint32(e.b[at:], uint32(len(e.b)-at-headSize))
	return e.b
}

// A decoder takes fields off a message. The first that is wrong ends it: all that follow
// are zero.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) fail() {
	d.b, d.err = nil, errMalformed
}

func (d *decoder) uint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) int() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) string() string {
	n := d.uint()
	if n > uint64(len(d.b)) {
		d.fail()
		return ""
	}
	s := string(d.b[:n])
	d.b = d.b[n:]
	return s
}

func (d *decoder) bool() bool {
	if len(d.b) == 0 || d.b[0] > 1 {
		d.fail()
		return false
	}
	v := d.b[0] == 1
	d.b = d.b[1:]
	return v
}

// count returns the length of a list, each of whose items has at least size bytes.
func (d *decoder) count(size int) int {
	n := d.uint()
	if n > uint64(len(d.b)/size) {
		d.fail()
		return 0
	}
	return int(n)
}

func (d *decoder) strings() []string {
	n := d.count(1)
	if n == 0 {
		return nil
	}
	list := make([]string, 0, n)
	for range n {
		list = append(list, d.string())
	}
	return list
}

// end returns the error: also of a message that goes on.
func (d *decoder) end() error {
	if d.err == nil && len(d.b) > 0 {
		d.fail()
	}
	return d.err
}

// Next takes one whole message off b. It returns its kind, its fields and what follows
// it; ok is false if b does not hold all of it. A message that is longer than limit is an
// error.
func Next(b []byte, limit int) (k Kind, body, rest []byte, ok bool, err error) {
	if len(b) < headSize {
		return 0, nil, b, false, nil
	}
	n := binary.LittleEndian.Uint32(b)
	if n == 0 || n > uint32(limit) {
		return 0, nil, nil, false, errMalformed
	}
	if uint32(len(b)-headSize) < n {
		return 0, nil, b, false, nil
	}
	body = b[headSize : headSize+n]
	return Kind(body[0]), body[1:], b[headSize+n:], true, nil
}
