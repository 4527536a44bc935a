package events

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

const (
	headerLine  = `{"fstrace":1,"session":"s","argv":["true"],"cwd":"/"}` + "\n"
	statLine    = `{"seq":1,"time":"2026-11-20T12:00:00Z","pid":2,"tid":3,"op":"stat","path":"/a","state":"file"}` + "\n"
	trailerLine = `{"end":"2026-11-20T12:00:00Z","exit":{"code":0},"complete":true,"incomplete":[],"counts":{"events":1,"stat":1}}` + "\n"
)

// decode reads a whole record.
func decode(r io.Reader) (*Header, []*Event, *Trailer, error) {
	d := NewDecoder(r)
	h, err := d.Header()
	if err != nil {
		return nil, nil, nil, err
	}
	var events []*Event
	for {
		e, err := d.Next()
		if err == io.EOF {
			return h, events, d.Trailer(), nil
		}
		if err != nil {
			return h, events, d.Trailer(), err
		}
		events = append(events, e)
	}
}

// encode writes a whole record.
func encode(t interface{ Fatal(...any) }, h *Header, events []*Event, end *Trailer) string {
	var out bytes.Buffer
	j := NewJSONL(&out)
	err := j.Begin(h)
	for _, e := range events {
		err = errors.Join(err, j.Event(e))
	}
	if err = errors.Join(err, j.End(end)); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestDecoder(t *testing.T) {
	// Byte by byte, as a slow pipe would bring it; with fields of a later version.
	record := headerLine + strings.Replace(statLine, "{", `{"later":{"x":[1]},`, 1) + trailerLine
	h, events, trailer, err := decode(iotest.OneByteReader(strings.NewReader(record)))
	if err != nil {
		t.Fatal(err)
	}
	when := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	if diff := cmp.Diff(&Header{Session: "s", Argv: []string{"true"}, Cwd: "/"}, h); diff != "" {
		t.Error(diff)
	}
	want := []*Event{{Seq: 1, Time: when, PID: 2, TID: 3, Op: OpStat, Path: "/a", State: StateFile}}
	if diff := cmp.Diff(want, events); diff != "" {
		t.Error(diff)
	}
	var counts Counts
	counts[OpStat] = 1
	if diff := cmp.Diff(&Trailer{End: when, Counts: counts}, trailer); diff != "" {
		t.Error(diff)
	}
}

func TestDecoderErrors(t *testing.T) {
	tests := []struct {
		name, record string
		is           error
		says         string
	}{
		{"empty", "", ErrCutOff, "line 1: "},
		{"header only", headerLine, ErrCutOff, "line 2: "},
		{"no trailer", headerLine + statLine, ErrCutOff, "line 3: "},
		{"cut within an event", headerLine + statLine + statLine[:30], ErrCutOff, "line 3: "},
		{"cut within the header", headerLine[:20], ErrCutOff, "line 1: "},
		{"cut within the trailer", headerLine + trailerLine[:40], ErrCutOff, "line 2: "},
		{"later version", `{"fstrace":2}` + "\n", ErrVersion, "line 1: version 2"},
		{"another format", `{"version":1}` + "\n", nil, "line 1: not a record"},
		{"no JSON", "read /etc/hosts\n", nil, "line 1: invalid character"},
		{"malformed event", headerLine + statLine + "{\n" + trailerLine, nil, "line 3: "},
		{"empty line", headerLine + "\n" + trailerLine, nil, "line 2: "},
		{"wrong type", headerLine + `{"seq":"1"}` + "\n", nil, "line 2: "},
		{"unknown op", headerLine + strings.Replace(statLine, "stat", "glance", 1), nil, `line 2: event: unknown op "glance"`},
		{"no op", headerLine + "{}\n", nil, `line 2: event: unknown op ""`},
		{"unknown state", headerLine + strings.Replace(statLine, "file", "pile", 1), nil, `line 2: event: unknown state "pile"`},
		{"no time", headerLine + strings.Replace(statLine, "2026-11-20T12:00:00Z", "noon", 1), nil, "line 2: event: parsing time"},
		{"year 10000", headerLine + strings.Replace(statLine, "2026-11-20T12:00:00Z", "9999-12-31T23:59:59-01:00", 1), nil, "year 10000"},
		{"not UTF-8", headerLine + strings.Replace(statLine, "/a", "/\xff", 1), nil, "line 2: not UTF-8"},
		{"text after the trailer", headerLine + trailerLine + headerLine, nil, "line 3: text after the trailer"},
		{"incomplete for no reason", headerLine + strings.Replace(trailerLine, "true", "false", 1), nil, "line 2: trailer: "},
		{"complete, but", headerLine + strings.Replace(trailerLine, "[]", `[{"reason":"io_uring"}]`, 1), nil, "line 2: trailer: "},
		{"no exit", headerLine + strings.Replace(trailerLine, `"code":0`, "", 1), nil, "line 2: trailer: neither"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, _, trailer, err := decode(strings.NewReader(tt.record))
			if err == nil || tt.is != nil && !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want %q", err, tt.says)
			}
			if tt.is != ErrCutOff && errors.Is(err, ErrCutOff) {
				t.Errorf("%v passes for a record that was cut off", err)
			}
			if trailer != nil {
				t.Errorf("a trailer without the end of the record: %+v", trailer)
			}
		})
	}
}

// What can be read of a cut-off record is read, and a trailer that lacks just
// its newline is whole.
func TestDecoderLastLine(t *testing.T) {
	_, events, _, err := decode(strings.NewReader(headerLine + statLine + strings.TrimSuffix(statLine, "\n")))
	if len(events) != 2 || !errors.Is(err, ErrCutOff) {
		t.Errorf("%d events, %v; want 2, %v", len(events), err, ErrCutOff)
	}
	_, _, trailer, err := decode(strings.NewReader(headerLine + strings.TrimSuffix(trailerLine, "\n")))
	if trailer == nil || err != nil {
		t.Errorf("trailer %v, %v", trailer, err)
	}
}

func TestDecoderErrorStays(t *testing.T) {
	d := NewDecoder(strings.NewReader(headerLine + "{\n" + statLine + trailerLine))
	_, first := d.Next()
	_, second := d.Next()
	if first == nil || second != first {
		t.Errorf("%v, then %v", first, second)
	}
	if h, err := d.Header(); h == nil || err != nil {
		t.Errorf("the header was read and is gone: %v, %v", h, err)
	}
}

func TestDecoderReadError(t *testing.T) {
	broken := errors.New("broken")
	r := io.MultiReader(strings.NewReader(headerLine), iotest.ErrReader(broken))
	if _, _, _, err := decode(r); !errors.Is(err, broken) || !strings.HasPrefix(err.Error(), "line 2: read: ") {
		t.Errorf("got %v", err)
	}
}

func TestDecoderLongLines(t *testing.T) {
	huge := []*Event{
		{Time: noon, Op: OpExec, Argv: []string{"cc", strings.Repeat("x", 2<<20), "y"}, Exe: "/cc"},
		{Time: noon, Op: OpRead, Path: "/" + strings.Repeat("\xff", 4096)},
	}
	record := encode(t, &Header{}, huge, &Trailer{End: noon})
	_, events, _, err := decode(strings.NewReader(record))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(huge, events); diff != "" {
		t.Error(diff)
	}

	endless := io.MultiReader(strings.NewReader(headerLine), zeroes{})
	if _, _, _, err := decode(endless); err == nil || !strings.Contains(err.Error(), "line 2: longer than") {
		t.Errorf("endless line: %v", err)
	}
}

// zeroes is a file of '0', without an end.
type zeroes struct{}

func (zeroes) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = '0'
	}
	return len(b), nil
}

// A record is read back to what it was made of, whatever its strings are.
func TestJSONLRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := &Header{Session: "s", Argv: rapid.SliceOf(anyString()).Draw(t, "argv"), Cwd: anyString().Draw(t, "cwd")}
		events := rapid.SliceOfN(rapid.Custom(drawEvent), 0, 5).Draw(t, "events")
		end := &Trailer{
			End:  drawTime(t),
			Exit: *drawExit(t),
			Incomplete: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Incomplete {
				return Incomplete{ReasonOpaqueProcess, rapid.IntRange(0, 1<<22).Draw(t, "pid"), anyString().Draw(t, "detail")}
			}), 0, 3).Draw(t, "incomplete"),
		}
		for _, e := range events {
			end.Counts.Add(e)
		}
		first := encode(t, h, events, end)
		h2, events2, end2, err := decode(strings.NewReader(first))
		if err != nil {
			t.Fatalf("%v\n%s", err, first)
		}
		if second := encode(t, h2, events2, end2); second != first {
			t.Fatalf("first\n%ssecond\n%s", first, second)
		}
		if diff := cmp.Diff(events, events2, cmpopts.EquateEmpty()); diff != "" {
			t.Fatal(diff)
		}
		if diff := cmp.Diff(end, end2, cmpopts.EquateEmpty()); diff != "" {
			t.Fatal(diff)
		}
	})
}
