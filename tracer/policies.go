package tracer

import (
	"fmt"
	"slices"
	"strings"
)

// An IOUringPolicy says how calls of io_uring are answered. Its requests pass no filter.
// As text it is "deny" or "allow".
type IOUringPolicy uint8

// Policies for io_uring.
const (
	// IOUringDeny answers ENOSYS, as kernels without io_uring do. Programs use other
	// calls then.
	IOUringDeny IOUringPolicy = iota
	// IOUringAllow continues the calls. The record is incomplete once a ring is set up.
	IOUringAllow
)

// A Lifecycle says how processes are followed. As text it is "ptrace" or "notify".
type Lifecycle uint8

// Ways to follow processes.
const (
	// LifecyclePtrace follows each process and thread by ptrace(2).
	LifecyclePtrace Lifecycle = iota
	// LifecycleNotify follows processes by their notifications, pidfds and /proc, for
	// commands that must not be ptraced. A process that makes no file call is not seen,
	// and the command is not killed when the supervisor is.
	LifecycleNotify
)

// A RecorderPolicy says whether processes may record their own calls (docs/recorder.md).
// As text it is "off" or "auto".
type RecorderPolicy uint8

// Policies for the recorder.
const (
	// RecorderOff has every call notified.
	RecorderOff RecorderPolicy = iota
	// RecorderAuto has processes record calls that change nothing, where that is
	// possible: they must be followed by ptrace, on x86-64. The record is the same.
	RecorderAuto
)

// A WaitPolicy says when a session ends. As text it is "root" or "all".
type WaitPolicy uint8

// When a session ends.
const (
	// WaitRoot ends it with the command itself. Descendants that still run then continue.
	// The record is incomplete and names them.
	WaitRoot WaitPolicy = iota
	// WaitAll ends it with the last descendant.
	WaitAll
)

var (
	ioUringWords   = []string{"deny", "allow"}
	lifecycleWords = []string{"ptrace", "notify"}
	recorderWords  = []string{"off", "auto"}
	waitWords      = []string{"root", "all"}
)

// MarshalText implements [encoding.TextMarshaler].
func (p IOUringPolicy) MarshalText() ([]byte, error) { return marshalWord(p, ioUringWords) }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (p *IOUringPolicy) UnmarshalText(text []byte) error { return unmarshalWord(p, text, ioUringWords) }

// MarshalText implements [encoding.TextMarshaler].
func (l Lifecycle) MarshalText() ([]byte, error) { return marshalWord(l, lifecycleWords) }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (l *Lifecycle) UnmarshalText(text []byte) error { return unmarshalWord(l, text, lifecycleWords) }

// MarshalText implements [encoding.TextMarshaler].
func (p RecorderPolicy) MarshalText() ([]byte, error) { return marshalWord(p, recorderWords) }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (p *RecorderPolicy) UnmarshalText(text []byte) error {
	return unmarshalWord(p, text, recorderWords)
}

// MarshalText implements [encoding.TextMarshaler].
func (p WaitPolicy) MarshalText() ([]byte, error) { return marshalWord(p, waitWords) }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (p *WaitPolicy) UnmarshalText(text []byte) error { return unmarshalWord(p, text, waitWords) }

func marshalWord[T ~uint8](value T, words []string) ([]byte, error) {
	if int(value) >= len(words) {
		return nil, fmt.Errorf("%d: must be %s", value, strings.Join(words, " or "))
	}
	return []byte(words[value]), nil
}

func unmarshalWord[T ~uint8](value *T, text []byte, words []string) error {
	i := slices.Index(words, string(text))
	if i < 0 {
		return fmt.Errorf("%q: must be %s", text, strings.Join(words, " or "))
	}
	*value = T(i)
	return nil
}
