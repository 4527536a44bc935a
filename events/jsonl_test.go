package events

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 1, time.UTC)

// encodeEvent returns the line of one event.
func encodeEvent(t interface{ Fatal(...any) }, e *Event) string {
	var out bytes.Buffer
	j := NewJSONL(&out)
	if err := errors.Join(j.Event(e), j.Flush()); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestJSONLEvent(t *testing.T) {
	tests := []struct {
		name string
		e    Event
		want string
	}{
		{
			"read",
			Event{
				Seq: 17, Time: noon, PID: 71, TID: 72, Op: OpRead, Syscall: "openat", Path: "/etc/hosts", As: "../etc/hosts",
				Flags: []string{"O_RDONLY", "O_CLOEXEC"}, State: StateFile,
			},
			`{"seq":17,"time":"2026-11-20T12:00:00.000000001Z","pid":71,"tid":72,"op":"read","syscall":"openat",` +
				`"path":"/etc/hosts","as":"../etc/hosts","flags":["O_RDONLY","O_CLOEXEC"],"state":"file"}`,
		},
		{
			"followed, of another ABI",
			Event{
				Seq: 1, Time: noon, PID: 1, TID: 1, Op: OpStat, Syscall: "stat64", ABI: "i386", Path: "/a", State: StateAbsent,
				Links: []Link{{"/a", "b/c"}, {"/b", "d"}}, Real: "/d/c",
			},
			`{"seq":1,"time":"2026-11-20T12:00:00.000000001Z","pid":1,"tid":1,"op":"stat","syscall":"stat64","abi":"i386",` +
				`"path":"/a","state":"absent","links":[{"path":"/a","target":"b/c"},{"path":"/b","target":"d"}],"real":"/d/c"}`,
		},
		{
			"rename",
			Event{
				Seq: 1, Time: noon, PID: 1, TID: 1, Op: OpRename, Syscall: "rename", Path: "/a", As: "a", State: StateFile,
				To: "/b", ToAs: "b", ToState: StateAbsent,
			},
			`{"seq":1,"time":"2026-11-20T12:00:00.000000001Z","pid":1,"tid":1,"op":"rename","syscall":"rename",` +
				`"path":"/a","as":"a","state":"file","to":"/b","toAs":"b","toState":"absent"}`,
		},
		{
			"symlink",
			Event{Seq: 1, Time: noon, PID: 1, TID: 1, Op: OpCreate, Syscall: "symlink", Path: "/l", Target: "x", State: StateAbsent},
			`{"seq":1,"time":"2026-11-20T12:00:00.000000001Z","pid":1,"tid":1,"op":"create","syscall":"symlink",` +
				`"path":"/l","state":"absent","target":"x"}`,
		},
		{
			"not UTF-8",
			Event{
				Seq: 1, Time: noon, PID: 1, TID: 1, Op: OpRename, Path: "/\xff", As: "\xff", To: "/\xfe", ToAs: "\xfe",
				Target: "\xfd", Real: "/\xfc", Links: []Link{{"/é\xff", "ok"}, {"/ok", "\xff"}},
			},
			`{"seq":1,"time":"2026-11-20T12:00:00.000000001Z","pid":1,"tid":1,"op":"rename","pathBase64":"L/8=","asBase64":"/w==",` +
				`"toBase64":"L/4=","toAsBase64":"/g==","targetBase64":"/Q==",` +
				`"links":[{"pathBase64":"L8Op/w==","target":"ok"},{"path":"/ok","targetBase64":"/w=="}],"realBase64":"L/w="}`,
		},
		{
			"connect",
			Event{Seq: 1, Time: noon, PID: 1, TID: 1, Op: OpConnect, Syscall: "connect", Address: "inet6 [::1]:80"},
			`{"seq":1,"time":"2026-11-20T12:00:00.000000001Z","pid":1,"tid":1,"op":"connect","syscall":"connect","address":"inet6 [::1]:80"}`,
		},
		{
			"connect to a name that is not UTF-8",
			Event{Seq: 1, Time: noon, PID: 1, TID: 1, Op: OpConnect, Syscall: "sendto", Address: "unix @\xff"},
			`{"seq":1,"time":"2026-11-20T12:00:00.000000001Z","pid":1,"tid":1,"op":"connect","syscall":"sendto","addressBase64":"dW5peCBA/w=="}`,
		},
		{
			"start",
			Event{Seq: 1, Time: noon, PID: 2, TID: 2, Op: OpStart, PPID: 1, Argv: []string{"cc", "-c"}, Exe: "/bin/\xff", Cwd: "/\xfe"},
			`{"seq":1,"time":"2026-11-20T12:00:00.000000001Z","pid":2,"tid":2,"op":"start","ppid":1,"argv":["cc","-c"],` +
				`"exeBase64":"L2Jpbi//","cwdBase64":"L/4="}`,
		},
		{
			"exec of nothing",
			Event{Seq: 1, Time: noon, PID: 2, TID: 2, Op: OpExec, Exe: "/bin/x", Cwd: "/"},
			`{"seq":1,"time":"2026-11-20T12:00:00.000000001Z","pid":2,"tid":2,"op":"exec","argv":[],"exe":"/bin/x","cwd":"/"}`,
		},
		{
			"exec with an argument not UTF-8",
			Event{Seq: 1, Time: noon, PID: 2, TID: 2, Op: OpExec, Argv: []string{"a", "\xff"}, Exe: "/x", Cwd: "/"},
			`{"seq":1,"time":"2026-11-20T12:00:00.000000001Z","pid":2,"tid":2,"op":"exec","argvBase64":["YQ==","/w=="],"exe":"/x","cwd":"/"}`,
		},
		{
			"access to a program",
			Event{Seq: 1, Time: noon, PID: 2, TID: 2, Op: OpExec, Syscall: "execve", Path: "/bin/x", State: StateFile},
			`{"seq":1,"time":"2026-11-20T12:00:00.000000001Z","pid":2,"tid":2,"op":"exec","syscall":"execve","path":"/bin/x","state":"file"}`,
		},
		{
			"exit",
			Event{Seq: 1, Time: noon, PID: 2, TID: 2, Op: OpExit, Exit: &Exit{}},
			`{"seq":1,"time":"2026-11-20T12:00:00.000000001Z","pid":2,"tid":2,"op":"exit","code":0}`,
		},
		{
			"killed",
			Event{Seq: 1, Time: noon, PID: 2, TID: 2, Op: OpExit, Exit: &Exit{Signal: "SIGSEGV", Core: true}},
			`{"seq":1,"time":"2026-11-20T12:00:00.000000001Z","pid":2,"tid":2,"op":"exit","signal":"SIGSEGV","core":true}`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := encodeEvent(t, &tt.e); got != tt.want+"\n" {
				t.Errorf("got  %swant %s", got, tt.want)
			}
		})
	}
}

func TestJSONLFrame(t *testing.T) {
	var out bytes.Buffer
	j := NewJSONL(&out)
	trailer := &Trailer{
		End:  noon.Add(time.Second).In(time.FixedZone("", 3600)),
		Exit: Exit{Signal: "SIGKILL", Core: true},
		Incomplete: []Incomplete{
			{ReasonIOURing, 5, "io_uring_setup"},
			{Reason: ReasonLostListener},
			{ReasonOpaqueProcess, 0, "/\xff"},
		},
	}
	trailer.Counts.Add(&Event{Op: OpRead})
	trailer.Counts.Add(&Event{Op: OpRead})
	trailer.Counts.Add(&Event{Op: OpExit})
	err := errors.Join(j.Begin(&Header{Session: "s", Argv: []string{"a", "\xff"}, Cwd: "/"}), j.End(trailer))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"fstrace":1,"session":"s","argvBase64":["YQ==","/w=="],"cwd":"/"}
{"end":"2026-11-20T12:00:01.000000001Z","exit":{"signal":"SIGKILL","core":true},"complete":false,` +
		`"incomplete":[{"reason":"io_uring","pid":5,"detail":"io_uring_setup"},{"reason":"lost_listener"},` +
		`{"reason":"opaque_process","detailBase64":"L/8="}],"counts":{"events":3,"read":2,"exit":1}}
`
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}

	out.Reset()
	j = NewJSONL(&out)
	if err := errors.Join(j.Begin(&Header{}), j.End(&Trailer{End: noon})); err != nil {
		t.Fatal(err)
	}
	want = `{"fstrace":1,"session":"","argv":[],"cwd":""}
{"end":"2026-11-20T12:00:00.000000001Z","exit":{"code":0},"complete":true,"incomplete":[],"counts":{"events":0}}
`
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}

// Whatever a path is, encoding/json reads it back to the same bytes.
func TestJSONLStrings(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := anyString().Filter(func(s string) bool { return s != "" }).Draw(t, "path")
		var line struct {
			Path       *string `json:"path"`
			PathBase64 *string `json:"pathBase64"`
		}
		if err := json.Unmarshal([]byte(encodeEvent(t, &Event{Op: OpStat, Path: s})), &line); err != nil {
			t.Fatal(err)
		}
		if utf8.ValidString(s) {
			if line.Path == nil || *line.Path != s || line.PathBase64 != nil {
				t.Fatalf("%q became %+v", s, line)
			}
			return
		}
		if line.PathBase64 == nil || line.Path != nil {
			t.Fatalf("%q became %+v", s, line)
		}
		b, err := base64.StdEncoding.DecodeString(*line.PathBase64)
		if err != nil || string(b) != s {
			t.Fatalf("%q became %q, %v", s, b, err)
		}
	})
}

func TestJSONLWritesChunks(t *testing.T) {
	var w recordingWriter
	j := NewJSONL(&w)
	e := &Event{Op: OpRead, Path: "/a/path/of/some/length"}
	for len(w.writes) < 2 {
		if err := j.Event(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.End(&Trailer{}); err != nil {
		t.Fatal(err)
	}
	if len(w.writes) != 3 {
		t.Fatalf("%d writes, want 3", len(w.writes))
	}
	for i, b := range w.writes {
		if i < 2 && len(b) < jsonlChunk {
			t.Errorf("write %d has %d bytes, want %d or more", i, len(b), jsonlChunk)
		}
		if !strings.HasSuffix(b, "}\n") {
			t.Errorf("write %d ends within a line", i)
		}
	}
}

func TestJSONLKeepsError(t *testing.T) {
	full := errors.New("full")
	w := &recordingWriter{err: full}
	j := NewJSONL(w)
	if err := j.Begin(&Header{}); err != nil {
		t.Fatalf("Begin: %v before anything was written", err)
	}
	if err := j.Flush(); err != full {
		t.Fatalf("Flush: %v, want %v", err, full)
	}
	w.err = nil
	if err := j.Event(&Event{Op: OpRead}); err != full {
		t.Errorf("Event: %v, want %v", err, full)
	}
	if err := j.End(&Trailer{}); err != full {
		t.Errorf("End: %v, want %v", err, full)
	}
	if len(w.writes) != 1 {
		t.Errorf("%d writes, want none after the failed one", len(w.writes))
	}

	w = &recordingWriter{short: true}
	j = NewJSONL(w)
	if err := errors.Join(j.Begin(&Header{}), j.End(&Trailer{})); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("short write: %v", err)
	}
}

// A command with megabytes of arguments does not leave its buffer behind.
func TestJSONLLetsHugeBufferGo(t *testing.T) {
	j := NewJSONL(io.Discard)
	if err := j.Event(&Event{Op: OpExec, Argv: []string{strings.Repeat("x", 2*jsonlKeep)}}); err != nil {
		t.Fatal(err)
	}
	if cap(j.buf) > jsonlKeep {
		t.Errorf("buffer of %d bytes kept", cap(j.buf))
	}
}

func TestJSONLDoesNotAllocate(t *testing.T) {
	j := NewJSONL(io.Discard)
	events := append(usualEvents(), Event{Op: OpRead, Path: "/" + strings.Repeat("\xff", 3000)})
	i := 0
	if n := testing.AllocsPerRun(1000, func() {
		e := &events[i%len(events)]
		e.Seq++
		e.Time = e.Time.Add(137 * time.Millisecond)
		if err := j.Event(e); err != nil {
			t.Fatal(err)
		}
		i++
	}); n != 0 {
		t.Errorf("%v allocations an event", n)
	}
}

func BenchmarkJSONL(b *testing.B) {
	j := NewJSONL(io.Discard)
	events := usualEvents()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		e := &events[i%len(events)]
		e.Seq = uint64(i)
		e.Time = e.Time.Add(7 * time.Microsecond)
		if err := j.Event(e); err != nil {
			b.Fatal(err)
		}
	}
}

// usualEvents are what a compiler does most.
func usualEvents() []Event {
	return []Event{
		{
			Time: noon, PID: 4711, TID: 4711, Op: OpRead, Syscall: "openat", Path: "/usr/include/x86_64-linux-gnu/bits/types/struct_timeval.h",
			Flags: []string{"O_RDONLY", "O_NOCTTY"}, State: StateFile,
		},
		{
			Time: noon, PID: 4711, TID: 4711, Op: OpRead, Syscall: "openat", State: StateAbsent, Flags: []string{"O_RDONLY", "O_NOCTTY"},
			Path: "/usr/lib/gcc/x86_64-linux-gnu/include/stdio.h", As: "/usr/lib/gcc/x86_64-linux-gnu/12/../include/stdio.h",
		},
		{Time: noon, PID: 4711, TID: 4711, Op: OpStat, Syscall: "newfstatat", Path: "/home/user/src/project/include", State: StateDir},
		{
			Time: noon, PID: 4711, TID: 4711, Op: OpRead, Syscall: "openat", Path: "/lib/x86_64-linux-gnu/libz.so.1", State: StateFile,
			Flags: []string{"O_RDONLY", "O_CLOEXEC"}, Real: "/usr/lib/x86_64-linux-gnu/libz.so.1.2.13",
			Links: []Link{{"/lib", "usr/lib"}, {"/usr/lib/x86_64-linux-gnu/libz.so.1", "libz.so.1.2.13"}},
		},
	}
}

// recordingWriter keeps what each call of Write was given.
type recordingWriter struct {
	writes []string
	err    error
	short  bool
}

func (w *recordingWriter) Write(b []byte) (int, error) {
	w.writes = append(w.writes, string(b))
	if w.short {
		return len(b) - 1, nil
	}
	return len(b), w.err
}
