package shim

import (
	"errors"
	"syscall"
)

// A Launch is what the shim is to run. Strings are bytes: an environment need not
// be UTF-8.
type Launch struct {
	Path    string // the file, looked up in PATH if it has no slash
	Dir     string // "" keeps the directory
	Argv    []string
	Env     []string
	Filter  []byte // the program, an array of struct sock_filter
	Signals Signals
	Umask   int32  // negative keeps it
	Apart   bool   // it is in a session of its own, and stays there
	Tracer  uint32 // the process that is going to trace it, 0 for its parent
}

// instructionSize is that of struct sock_filter.
const instructionSize = 8

// Numbers are little-endian, as those of each machine that fstrace knows.

func appendUint32(b []byte, v uint32) []byte {
	return append(b, byte(v), byte(v>>8), byte(v>>16), byte(v>>24))
}

func appendUint64(b []byte, v uint64) []byte {
	return appendUint32(appendUint32(b, uint32(v)), uint32(v>>32))
}

func getUint32(b []byte) uint32 {
	return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
}

func appendString(b []byte, s string) []byte {
	b = appendUint32(b, uint32(len(s)))
	return append(b, s...)
}

func appendStrings(b []byte, list []string) []byte {
	b = appendUint32(b, uint32(len(list)))
	for _, s := range list {
		b = appendString(b, s)
	}
	return b
}

// Encode returns the message: its length, then its fields.
func (l *Launch) Encode() []byte {
	b := make([]byte, 4, 4096)
	b = appendString(b, l.Path)
	b = appendString(b, l.Dir)
	b = appendStrings(b, l.Argv)
	b = appendStrings(b, l.Env)
	b = appendUint32(b, uint32(len(l.Filter)/instructionSize))
	b = append(b, l.Filter...)
	b = appendUint64(b, l.Signals.Mask)
	b = appendUint64(b, l.Signals.Ignored)
	b = appendUint32(b, uint32(l.Umask))
	apart := byte(0)
	if l.Apart {
		apart = 1
	}
	b = append(b, apart)
	b = appendUint32(b, l.Tracer)
	appendUint32(b[:0], uint32(len(b)-4))
	return b
}

// A decoder takes fields off a message. The first that is missing ends it.
type decoder struct {
	b   []byte
	err error
}

var errShortMessage = errors.New("message is cut off")

func (d *decoder) take(n int) []byte {
	if n > len(d.b) || d.err != nil {
		d.err = errShortMessage
		return make([]byte, min(n, 8))
	}
	field := d.b[:n]
	d.b = d.b[n:]
	return field
}

func (d *decoder) uint32() uint32 { return getUint32(d.take(4)) }
func (d *decoder) uint64() uint64 { return uint64(d.uint32()) | uint64(d.uint32())<<32 }
func (d *decoder) string() string { return string(d.take(int(d.uint32()))) }

func (d *decoder) strings() []string {
	var list []string
	for n := d.uint32(); n > 0 && d.err == nil; n-- {
		list = append(list, d.string())
	}
	return list
}

// decodeLaunch reads what Encode wrote, without the length.
func decodeLaunch(b []byte) (*Launch, error) {
	d := decoder{b: b}
	l := &Launch{Path: d.string(), Dir: d.string(), Argv: d.strings(), Env: d.strings()}
	l.Filter = d.take(int(d.uint32()) * instructionSize)
	l.Signals = Signals{Mask: d.uint64(), Ignored: d.uint64()}
	l.Umask, l.Apart, l.Tracer = int32(d.uint32()), d.take(1)[0] != 0, d.uint32()
	return l, d.err
}

// A Failure is what the shim could not do: its step and the kernel's answer.
type Failure struct {
	Step  string
	Errno syscall.Errno
}

// Encode returns the reply: its kind, its length, then its fields.
func (f *Failure) Encode() []byte {
	b := []byte{ReplyFailure, 0, 0, 0, 0}
	b = appendUint32(b, uint32(f.Errno))
	b = appendString(b, f.Step)
	appendUint32(b[:1], uint32(len(b)-5))
	return b
}

// DecodeFailure reads what Encode wrote, without the kind and the length.
func DecodeFailure(b []byte) (*Failure, error) {
	d := decoder{b: b}
	f := &Failure{Errno: syscall.Errno(d.uint32())}
	f.Step = d.string()
	return f, d.err
}

// First bytes of the shim's replies, and the supervisor's go-ahead.
const (
	ReplyListener = 'L' // with the listener as SCM_RIGHTS
	ReplyNested   = 'N' // another listener is above: the command runs without a filter
	ReplyFailure  = 'E'
	GoAhead       = 'G'
)
