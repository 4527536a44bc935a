package shim

import (
	"encoding/binary"
	"errors"
	"syscall"
)

// First bytes of the shim's replies, and the supervisor's go-ahead.
const (
	ReplyListener = 'L' // with the listener as SCM_RIGHTS
	ReplyNested   = 'N' // another listener is above: the command runs without a filter
	ReplyFailure  = 'E'
	GoAhead       = 'G'
)

// Steps of a launch that the supervisor treats differently.
const (
	StepFilter = "install filter"
	StepExec   = "exec" // the last one
)

// ExitFailed is the status of a process of ours that could not do its work.
const ExitFailed = 125

// A Failure is what the shim could not do: its step and the kernel's answer.
type Failure struct {
	Step  string
	Errno syscall.Errno
}

// errnoSize is the size of the error number at the end of an encoded failure. It is as
// the kernel returned it, negative.
const errnoSize = 8

// encode returns the reply: its kind, its length, the step, the error number.
func (f *Failure) encode() []byte {
	b := []byte{ReplyFailure}
	b = binary.NativeEndian.AppendUint32(b, uint32(len(f.Step)+errnoSize))
	b = append(b, f.Step...)
	return binary.NativeEndian.AppendUint64(b, uint64(-int64(f.Errno)))
}

var errShortMessage = errors.New("message is cut off")

// DecodeFailure reads what a shim sends, without the kind and the length.
func DecodeFailure(b []byte) (*Failure, error) {
	n := len(b) - errnoSize
	if n < 0 {
		return nil, errShortMessage
	}
	errno := -int64(binary.NativeEndian.Uint64(b[n:]))
	if errno < 1 || errno > 4095 {
		return nil, errors.New("not an error number")
	}
	return &Failure{Step: string(b[:n]), Errno: syscall.Errno(errno)}, nil
}
