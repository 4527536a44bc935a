package events

import (
	"hash/maphash"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	absentMark = " (absent)" // after a path at which nothing was
	arrow      = " -> "      // between the two paths of a rename or link
	textColumn = 10          // where paths begin, counted from 0
	textChunk  = 32 << 10    // a write at least this often
)

// Text is a [Sink] for people: it writes a line for each distinct access, when it first
// sees it (docs/text.md). It writes no events of processes, and no accesses to things
// that are not files. For an incomplete record it writes the reasons at the end.
//
// Text stores 128 bits of hash for each distinct access, because a build makes hundreds
// of thousands of them, with paths of a hundred bytes. If two accesses had the same hash,
// one line would be missing. With 128 bits this does not happen.
type Text struct {
	w    io.Writer
	buf  []byte
	err  error // the writer's first error; nothing is written after it
	live bool

	seen map[[2]uint64]struct{}
	hash [2]maphash.Hash
}

// A TextOption is an option of [NewText].
type TextOption func(*Text)

// LineBuffered writes each line at once. Use it for a terminal, or for a file to which
// others write messages as well.
func LineBuffered() TextOption {
	return func(t *Text) { t.live = true }
}

// NewText returns a sink that writes to w. By default it writes in blocks of about 32
// KiB; End and Flush write the rest. The caller closes w.
func NewText(w io.Writer, options ...TextOption) *Text {
	t := &Text{w: w, seen: make(map[[2]uint64]struct{})}
	for i := range t.hash {
		t.hash[i].SetSeed(maphash.MakeSeed())
	}
	for _, o := range options {
		o(t)
	}
	return t
}

// Begin writes nothing. It returns the error of an earlier write, if any.
func (t *Text) Begin(*Header) error { return t.err }

// Event writes a line for e, and one for each symbolic link on the way, unless it has
// written the same line before.
func (t *Text) Event(e *Event) error {
	if t.err != nil || e.IsProcess() || e.Op == OpConnect {
		return t.err
	}
	for i := range e.Links {
		t.access(OpReadlink, e.Links[i].Path, "", false)
	}
	absent := e.State == StateAbsent
	followed := e.Real != "" && e.Real != e.Path
	t.access(e.Op, e.Path, e.To, absent && !followed)
	if followed {
		t.access(e.Op, e.Real, "", absent)
	}
	if t.live && len(t.buf) > 0 || len(t.buf) >= textChunk {
		return t.Flush()
	}
	return nil
}

// End writes the reasons for an incomplete record, and everything that is still buffered.
func (t *Text) End(end *Trailer) error {
	for i := range end.Incomplete {
		r := &end.Incomplete[i]
		t.buf = append(t.buf, "# incomplete: "...)
		t.buf = append(t.buf, r.Reason...)
		if r.PID != 0 {
			t.buf = append(t.buf, ": pid "...)
			t.buf = strconv.AppendInt(t.buf, int64(r.PID), 10)
		}
		if r.Detail != "" {
			t.buf = append(t.buf, ": "...)
			t.buf = appendPrintable(t.buf, r.Detail, !printable(r.Detail))
		}
		t.buf = append(t.buf, '\n')
	}
	return t.Flush()
}

// Flush writes the buffered lines. It returns the first error of the writer, and so does
// every later call of any method.
func (t *Text) Flush() error {
	if t.err == nil && len(t.buf) > 0 {
		t.err = writeAll(t.w, t.buf)
	}
	t.buf = t.buf[:0]
	return t.err
}

// access appends a line, unless there was one for the same access.
func (t *Text) access(op Op, path, to string, absent bool) {
	key := t.key(op, path, to)
	if _, ok := t.seen[key]; ok {
		return
	}
	t.seen[key] = struct{}{}

	word := op.String()
	t.buf = append(t.buf, word...)
	for n := len(word); n < textColumn; n++ {
		t.buf = append(t.buf, ' ')
	}
	t.buf = appendPath(t.buf, path)
	if absent {
		t.buf = append(t.buf, absentMark...)
	}
	if to != "" {
		t.buf = append(t.buf, arrow...)
		t.buf = appendPath(t.buf, to)
	}
	t.buf = append(t.buf, '\n')
}

// key hashes an access. No path holds a NUL, so that no two accesses are written the
// same.
func (t *Text) key(op Op, path, to string) (key [2]uint64) {
	for i := range t.hash {
		h := &t.hash[i]
		h.Reset()
		h.WriteByte(byte(op))
		h.WriteString(path)
		h.WriteByte(0)
		h.WriteString(to)
		key[i] = h.Sum64()
	}
	return key
}

// appendPath appends a path as it is if a reader cannot take it for anything else,
// otherwise quoted.
func appendPath(b []byte, path string) []byte {
	quote := path == "" ||
		path[0] == '"' || path[0] == ' ' || path[len(path)-1] == ' ' ||
		strings.Contains(path, arrow) || strings.HasSuffix(path, absentMark) ||
		!printable(path)
	return appendPrintable(b, path, quote)
}

// Quote returns a path as it is, or quoted if it contains characters that are not
// printable or if it could be misread.
func Quote(path string) string {
	quote := path == "" || path[0] == '"' || path[0] == ' ' || path[len(path)-1] == ' ' || !printable(path)
	return string(appendPrintable(nil, path, quote))
}

func appendPrintable(b []byte, s string, quote bool) []byte {
	if quote {
		return strconv.AppendQuote(b, s)
	}
	return append(b, s...)
}

// printable reports whether a terminal shows s as it is: no control characters, no bytes
// that are not UTF-8, no space but the ASCII one.
func printable(s string) bool {
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c < ' ' || c == 0x7f {
				return false
			}
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 || !strconv.IsPrint(r) {
			return false
		}
		i += n
	}
	return true
}
