package events

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// text returns what is written of events and trailer.
func text(t interface{ Fatal(...any) }, events []Event, end *Trailer) string {
	var out bytes.Buffer
	x := NewText(&out)
	err := x.Begin(&Header{})
	for i := range events {
		err = errors.Join(err, x.Event(&events[i]))
	}
	if err = errors.Join(err, x.End(end)); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestText(t *testing.T) {
	tests := []struct {
		name   string
		events []Event
		want   string
	}{
		{
			"distinct accesses, as first seen",
			[]Event{
				{Op: OpRead, Path: "/a", State: StateFile},
				{Op: OpStat, Path: "/b", State: StateAbsent},
				{Op: OpRead, Path: "/a", State: StateAbsent},
				{Op: OpStat, Path: "/a", State: StateFile},
				{Op: OpStat, Path: "/b", State: StateFile},
				{Op: OpReadlink, Path: "/l", State: StateSymlink},
			},
			"read      /a\nstat      /b (absent)\nstat      /a\nreadlink  /l\n",
		},
		{
			"two paths",
			[]Event{
				{Op: OpRename, Path: "/a", To: "/b", State: StateFile, ToState: StateAbsent},
				{Op: OpRename, Path: "/a", To: "/c", State: StateAbsent},
				{Op: OpRename, Path: "/a", To: "/b", State: StateAbsent},
				{Op: OpCreate, Path: "/a", To: "/b", State: StateFile},
			},
			"rename    /a -> /b\nrename    /a (absent) -> /c\ncreate    /a -> /b\n",
		},
		{
			"symbolic links",
			[]Event{
				{
					Op: OpRead, Path: "/usr/lib/x.so", Real: "/usr/lib/x.so.1", State: StateFile,
					Links: []Link{{"/lib", "usr/lib"}, {"/usr/lib/x.so", "x.so.1"}},
				},
				{Op: OpRead, Path: "/usr/lib/y", State: StateAbsent, Links: []Link{{"/lib", "usr/lib"}}},
				{Op: OpStat, Path: "/dangling", Real: "/nowhere", State: StateAbsent, Links: []Link{{"/dangling", "nowhere"}}},
				{Op: OpStat, Path: "/same", Real: "/same", State: StateAbsent},
			},
			"readlink  /lib\nreadlink  /usr/lib/x.so\nread      /usr/lib/x.so\nread      /usr/lib/x.so.1\n" +
				"read      /usr/lib/y (absent)\n" +
				"readlink  /dangling\nstat      /dangling\nstat      /nowhere (absent)\n" +
				"stat      /same (absent)\n",
		},
		{
			"process events",
			[]Event{
				{Op: OpStart, Exe: "/x"},
				{Op: OpExec, Syscall: "execve", Path: "/x", State: StateFile},
				{Op: OpExec, Exe: "/x"},
				{Op: OpExit},
			},
			"exec      /x\n",
		},
		{
			"what is no file",
			[]Event{{Op: OpConnect, Syscall: "connect", Address: "inet 127.0.0.1:80"}, {Op: OpStat, Syscall: "connect", Path: "/run/s", State: StateOther}},
			"stat      /run/s\n",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := text(t, tt.events, &Trailer{}); got != tt.want {
				t.Errorf("got\n%swant\n%s", got, tt.want)
			}
		})
	}
}

func TestTextQuotes(t *testing.T) {
	for path, want := range map[string]string{
		"/plain":                 "/plain",
		"/with space":            "/with space",
		"/é/漢字/\ufffd":           "/é/漢字/\ufffd",
		`/back\slash"quo`:        `/back\slash"quo`,
		"":                       `""`,
		`"/x`:                    `"\"/x"`,
		"/ends with ":            `"/ends with "`,
		" /begins":               `" /begins"`,
		"/new\nline":             `"/new\nline"`,
		"/esc\x1b[31m":           `"/esc\x1b[31m"`,
		"/del\x7f":               `"/del\x7f"`,
		"/latin1 \xe9":           `"/latin1 \xe9"`,
		"/a\u00a0b":              `"/a\u00a0b"`,
		"/rtl\u202e":             `"/rtl\u202e"`,
		"/a -> b":                `"/a -> b"`,
		"/a->b":                  "/a->b",
		"/a (absent)":            `"/a (absent)"`,
		"/a (absent)/b":          "/a (absent)/b",
		"/surrogate\xed\xa0\x80": `"/surrogate\xed\xa0\x80"`,
	} {
		if got := text(t, []Event{{Op: OpRead, Path: path}}, &Trailer{}); got != "read      "+want+"\n" {
			t.Errorf("%q: got %q, want %s", path, got, want)
		}
	}
}

func TestTextIncomplete(t *testing.T) {
	got := text(t, nil, &Trailer{Incomplete: []Incomplete{
		{ReasonIOURing, 12, "io_uring_setup"},
		{ReasonLostListener, 0, "the filter is gone"},
		{Reason: ReasonRunning, PID: 7},
		{Reason: ReasonUntraced},
		{ReasonOpaqueProcess, 8, "read /x\ny"},
	}})
	want := `# incomplete: io_uring: pid 12: io_uring_setup
# incomplete: lost_listener: the filter is gone
# incomplete: descendant_running: pid 7
# incomplete: untraced_process
# incomplete: opaque_process: pid 8: "read /x\ny"
`
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// textLine is how docs/text.md says that a line is to be read.
var textLine = regexp.MustCompile(`^([a-z]+) +("(?:[^"\\]|\\.)*"|.*?)( \(absent\))?(?: -> (".*"|.*))?$`)

// Whatever the paths are, a line is read back to them.
func TestTextLinesAreUnambiguous(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := drawEvent(t)
		e.Op, e.Links, e.Real = OpRename, nil, ""
		line, ok := strings.CutSuffix(text(t, []Event{*e}, &Trailer{}), "\n")
		m := textLine.FindStringSubmatch(line)
		if !ok || m == nil || strings.Contains(line, "\n") {
			t.Fatalf("line %q", line)
		}
		unquote := func(s string) string {
			if strings.HasPrefix(s, `"`) {
				u, err := strconv.Unquote(s)
				if err != nil {
					t.Fatalf("%s in %q: %v", s, line, err)
				}
				return u
			}
			return s
		}
		if m[1] != "rename" || unquote(m[2]) != e.Path || (m[3] != "") != (e.State == StateAbsent) || unquote(m[4]) != e.To {
			t.Fatalf("%q -> %q is read back from %q as %q", e.Path, e.To, line, m)
		}
	})
}

func TestTextFlushes(t *testing.T) {
	var live, chunked recordingWriter
	a, b := NewText(&live, LineBuffered()), NewText(&chunked)
	for _, path := range []string{"/a", "/a", "/b"} {
		e := &Event{Op: OpRead, Path: path}
		if err := errors.Join(a.Event(e), b.Event(e)); err != nil {
			t.Fatal(err)
		}
	}
	if len(live.writes) != 2 || live.writes[0] != "read      /a\n" {
		t.Errorf("line buffered: %q", live.writes)
	}
	if len(chunked.writes) != 0 {
		t.Errorf("chunked: %q before there was a chunk", chunked.writes)
	}
	if err := b.Flush(); err != nil || len(chunked.writes) != 1 {
		t.Errorf("Flush: %v, %q", err, chunked.writes)
	}
	for i := 0; len(chunked.writes) < 2; i++ {
		if err := b.Event(&Event{Op: OpRead, Path: strconv.Itoa(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(chunked.writes[1]); n < textChunk {
		t.Errorf("a chunk of %d bytes, want %d", n, textChunk)
	}
}

func TestTextKeepsError(t *testing.T) {
	full := errors.New("full")
	w := &recordingWriter{err: full}
	x := NewText(w, LineBuffered())
	if err := x.Event(&Event{Op: OpRead, Path: "/a"}); err != full {
		t.Fatalf("Event: %v, want %v", err, full)
	}
	w.err = nil
	if err := x.Event(&Event{Op: OpRead, Path: "/b"}); err != full {
		t.Errorf("Event: %v, want %v", err, full)
	}
	if err := x.End(&Trailer{}); err != full {
		t.Errorf("End: %v, want %v", err, full)
	}
	if len(w.writes) != 1 {
		t.Errorf("%d writes, want none after the failed one", len(w.writes))
	}
}

func TestTextDoesNotAllocateForWhatWasSeen(t *testing.T) {
	x := NewText(io.Discard)
	events := usualEvents()
	for i := range events {
		if err := x.Event(&events[i]); err != nil {
			t.Fatal(err)
		}
	}
	i := 0
	if n := testing.AllocsPerRun(1000, func() {
		if err := x.Event(&events[i%len(events)]); err != nil {
			t.Fatal(err)
		}
		i++
	}); n != 0 {
		t.Errorf("%v allocations an event", n)
	}
}

func BenchmarkText(b *testing.B) {
	x := NewText(io.Discard)
	events := usualEvents()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if err := x.Event(&events[i%len(events)]); err != nil {
			b.Fatal(err)
		}
	}
}
