package events

import (
	"time"

	"pgregory.net/rapid"
)

// anyString draws what the kernel allows in a path and more: text, bytes that
// are not UTF-8, and what is next to either.
func anyString() *rapid.Generator[string] {
	odd := rapid.SampledFrom([]string{
		"", "\x00", "\"", "\\", "\n", "\r", "\t", "\x1f", "\x7f", "\u0080", "\u2028", "\u2029", "\ufffd", "\U0010ffff",
		"\xff", "\xc0\x80", "\xed\xa0\x80", "\xe2\x80", "\xf4\x90\x80\x80", "/", " -> ", " (absent)", "é",
	})
	return rapid.OneOf(
		rapid.StringN(0, 40, -1),
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 200), func(b []byte) string { return string(b) }),
		rapid.Map(rapid.SliceOfN(odd, 0, 8), func(parts []string) (s string) {
			for _, p := range parts {
				s += p
			}
			return s
		}),
	)
}

func drawTime(t *rapid.T) time.Time {
	first := time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	last := time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC).Unix()
	return time.Unix(rapid.Int64Range(first, last).Draw(t, "second"), rapid.Int64Range(0, 999_999_999).Draw(t, "fraction")).UTC()
}

func drawExit(t *rapid.T) *Exit {
	if rapid.Bool().Draw(t, "killed") {
		return &Exit{Signal: "SIGSEGV", Core: rapid.Bool().Draw(t, "core")}
	}
	return &Exit{Code: rapid.IntRange(0, 255).Draw(t, "code")}
}

// drawEvent draws events that no tracer would make, too: the encodings must not
// depend on which fields go together.
func drawEvent(t *rapid.T) *Event {
	str := func(label string) string { return anyString().Draw(t, label) }
	e := &Event{
		Result:  rapid.SampledFrom([]string{"", "0", "ENOENT"}).Draw(t, "result"),
		Seq:     rapid.Uint64().Draw(t, "seq"),
		Time:    drawTime(t),
		PID:     rapid.IntRange(0, 1<<22).Draw(t, "pid"),
		TID:     rapid.IntRange(0, 1<<22).Draw(t, "tid"),
		Op:      Op(rapid.IntRange(1, int(opCount)-1).Draw(t, "op")),
		Syscall: rapid.SampledFrom([]string{"", "openat", "execve"}).Draw(t, "syscall"),
		ABI:     rapid.SampledFrom([]string{"", "i386"}).Draw(t, "abi"),
		Path:    str("path"), As: str("as"), To: str("to"), ToAs: str("toAs"), Target: str("target"), Real: str("real"), Address: str("address"),
		Flags:   rapid.SliceOfN(rapid.SampledFrom([]string{"O_RDONLY", "O_CREAT", "0x4"}), 0, 3).Draw(t, "flags"),
		State:   State(rapid.IntRange(0, int(stateCount)-1).Draw(t, "state")),
		ToState: State(rapid.IntRange(0, int(stateCount)-1).Draw(t, "toState")),
		Links: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Link {
			return Link{anyString().Draw(t, "link"), anyString().Draw(t, "linkTarget")}
		}), 0, 3).Draw(t, "links"),
		PPID: rapid.IntRange(0, 1<<22).Draw(t, "ppid"),
		Argv: rapid.SliceOfN(anyString(), 0, 3).Draw(t, "argv"),
		Exe:  str("exe"), Cwd: str("cwd"),
	}
	if rapid.Bool().Draw(t, "exited") {
		e.Exit = drawExit(t)
	}
	return e
}
