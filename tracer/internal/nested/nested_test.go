package nested

import (
	"bytes"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/fstrace/fstrace/events"
	"github.com/google/go-cmp/cmp"
)

var samples = []events.Event{
	{},
	{
		Time: time.Unix(1, 2), PID: 71, TID: 72, Op: events.OpRead, Syscall: "openat", ABI: "i386", Path: "/etc/hosts", As: "../etc/\xff",
		Flags: []string{"O_RDONLY", "O_CLOEXEC"}, State: events.StateFile, Real: "/a", Links: []events.Link{{Path: "/l", Target: "m"}, {}},
		Left: []string{"/x", ""}, Info: events.FileInfo{Dev: 1 << 63, Ino: 2, Mode: 0o100644, UID: 1<<32 - 1, GID: 4, Nlink: 5, Size: -6, Mtime: -7, Ctime: 8},
	},
	{
		Op: events.OpRename, Syscall: "rename", Path: "/a", To: "/b", ToAs: "b", ToState: events.StateAbsent, ToInfo: events.FileInfo{Mode: 1},
		Target: "t", OtherNamespace: true,
	},
	{Op: events.OpConnect, Syscall: "connect", Address: "inet 127.0.0.1:80"},
	{Op: events.OpStart, PID: 5, PPID: 4, Argv: []string{"sh", "-c", ""}, Exe: "/bin/sh", Cwd: "/"},
	{Op: events.OpExec, PID: 5, Argv: []string{"cat"}, Exe: "/bin/cat", Cwd: "/"},
	{Op: events.OpExit, PID: 5, Exit: &events.Exit{Code: 3}},
	{Op: events.OpExit, PID: 5, Exit: &events.Exit{Signal: "SIGTERM", Core: true}},
	{Op: events.OpExit, PID: 5},
}

func TestEvents(t *testing.T) {
	var all []byte
	for i := range samples {
		all = AppendEvent(all, &samples[i])
	}
	for i := range samples {
		kind, body, rest, ok, err := Next(all, MaxMessage)
		if kind != KindEvent || !ok || err != nil {
			t.Fatalf("%d: kind %q, %v, %v", i, kind, ok, err)
		}
		got, err := DecodeEvent(body)
		if err != nil {
			t.Fatalf("%d: %v", i, err)
		}
		want := samples[i]
		if !got.Time.Equal(want.Time) && want.Time.Year() > 1 {
			t.Errorf("%d: time %v, want %v", i, got.Time, want.Time)
		}
		got.Time = want.Time
		if diff := cmp.Diff(&want, got); diff != "" {
			t.Errorf("%d (-want +got):\n%s", i, diff)
		}
		all = rest
	}
	if len(all) > 0 {
		t.Errorf("%d bytes are left", len(all))
	}
}

// TestEventFields: no field of an event is forgotten when there is a new one.
func TestEventFields(t *testing.T) {
	seen := make(map[string]bool)
	for i := range samples {
		cmp.Equal(events.Event{}, samples[i], cmp.FilterPath(func(p cmp.Path) bool {
			if f, ok := p.Index(1).(cmp.StructField); ok && len(p) == 2 {
				if x, y := f.Values(); !cmp.Equal(x.Interface(), y.Interface()) {
					seen[f.Name()] = true
				}
			}
			return len(p) >= 2
		}, cmp.Ignore()))
	}
	const fields = 26 // but Seq
	if len(seen) != fields {
		t.Errorf("the samples have %d fields, want %d: one that is new has to be sent, and to be in a sample: %v", len(seen), fields, seen)
	}
}

type message interface {
	Append(b []byte) []byte
	Decode(b []byte) error
}

func TestMessages(t *testing.T) {
	for _, tt := range []struct{ sent, got message }{
		{&Join{PID: 7, Guard: true}, new(Join)},
		{&Join{PID: 1 << 30, Linked: true, Child: true}, new(Join)},
		{&Signal{Signal: 15}, new(Signal)},
		{&Finish{All: true}, new(Finish)},
		{&Refused{Reason: "no"}, new(Refused)},
		{&Mounts{Paths: []string{"/a", "/b"}}, new(Mounts)},
		{&Done{}, new(Done)},
		{&Done{
			Left: []Left{{PID: 3, Exe: "/bin/x", Argv: []string{"x", "y"}}, {}},
			Gaps: []events.Incomplete{{Reason: events.ReasonNested, PID: 1, Detail: "d"}},
		}, new(Done)},
	} {
		b := tt.sent.Append([]byte("before"))
		_, body, rest, ok, err := Next(b[len("before"):], MaxMessage)
		if err != nil || !ok || len(rest) > 0 {
			t.Fatalf("%+v: %v, %v, %d", tt.sent, ok, err, len(rest))
		}
		if err := tt.got.Decode(body); err != nil {
			t.Errorf("%+v: %v", tt.sent, err)
		}
		if diff := cmp.Diff(tt.sent, tt.got); diff != "" {
			t.Errorf("(-sent +got):\n%s", diff)
		}
		for n := range b[len("before"):] { // cut off anywhere
			if _, _, _, ok, err := Next(b[len("before"):][:n], MaxMessage); ok || err != nil {
				t.Errorf("%+v: %d bytes are a message: %v", tt.sent, n, err)
			}
		}
		for n := range body {
			if err := tt.got.Decode(body[:n]); err == nil {
				t.Errorf("%+v: %d bytes of %d are decoded", tt.sent, n, len(body))
			}
		}
		if err := tt.got.Decode(append(slices.Clone(body), 0)); err == nil {
			t.Errorf("%+v: decoded with a byte behind it", tt.sent)
		}
	}
}

func TestQuestions(t *testing.T) {
	want := Question{ID: 1 << 60, Op: events.OpWrite, Path: "/a\x00b", Info: samples[1].Info}
	var got Question
	if err := got.Decode(want.Append(nil)); err != nil || !cmp.Equal(want, got) {
		t.Errorf("%+v, %v", got, err)
	}
	var a Answer
	if err := a.Decode((&Answer{ID: 5}).Append(nil)); err != nil || a.ID != 5 {
		t.Errorf("%+v, %v", a, err)
	}
	longest := Question{ID: 1<<64 - 1, Path: string(make([]byte, 4096)), Info: samples[1].Info}
	if n := len(longest.Append(nil)); n > MaxQuestion {
		t.Errorf("a question has %d bytes", n)
	}
	for _, m := range []message{&Join{PID: -1 << 31}, &Signal{Signal: -1 << 31}, &Finish{}} {
		if n := len(m.Append(nil)); n > MaxRequest {
			t.Errorf("%T has %d bytes", m, n)
		}
	}
}

func TestNextLimit(t *testing.T) {
	for _, b := range [][]byte{{0, 0, 0, 0, 'J'}, {65, 0, 0, 0}, {255, 255, 255, 255, 'J'}} {
		if _, _, _, ok, err := Next(b, MaxRequest); ok || err == nil {
			t.Errorf("%v: %v, %v", b, ok, err)
		}
	}
}

// FuzzDecode: whatever comes, a decoder returns, and takes no more memory than a multiple
// of what came.
func FuzzDecode(f *testing.F) {
	for i := range samples {
		f.Add(AppendEvent(nil, &samples[i]))
	}
	f.Add((&Join{PID: 3, Guard: true}).Append(nil))
	f.Add((&Done{Left: []Left{{PID: 1}}}).Append(nil))
	f.Add((&Mounts{Paths: []string{"/"}}).Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		for rest := b; ; {
			_, body, next, ok, err := Next(rest, MaxMessage)
			if err != nil || !ok {
				break
			}
			if len(next) >= len(rest) {
				t.Fatal("nothing was taken")
			}
			rest = next
			for _, m := range []message{new(Join), new(Signal), new(Finish), new(Refused), new(Mounts), new(Done), new(Question), new(Answer)} {
				_ = m.Decode(body)
			}
			e, err := DecodeEvent(body)
			if err != nil {
				continue
			}
			again := AppendEvent(nil, e)
			_, body, _, ok, err = Next(again, 1<<30)
			if err != nil || !ok {
				t.Fatalf("what was decoded is not encoded: %v", err)
			}
			if twice, err := DecodeEvent(body); err != nil || !cmp.Equal(e, twice) {
				t.Fatalf("%v: %s", err, cmp.Diff(e, twice))
			}
		}
	})
}

// TestBacklog: what was added is written, in order, and nothing is held afterwards.
func TestBacklog(t *testing.T) {
	var out bytes.Buffer
	budget := &Budget{Limit: 1 << 20}
	l := NewBacklog(&out, budget, time.Hour)
	var want []byte
	for i := range 10000 {
		m := bytes.Repeat([]byte{byte(i)}, i%1000)
		want = append(want, m...)
		if !l.Add(m) {
			t.Fatal("not taken")
		}
		if i%100 == 0 {
			l.Flush()
		}
	}
	l.Seal()
	<-l.Done()
	if !bytes.Equal(out.Bytes(), want) || l.Sent() != int64(len(want)) {
		t.Errorf("%d bytes were written, want %d", out.Len(), len(want))
	}
	if n := budget.used.Load(); n != 0 {
		t.Errorf("%d bytes are held", n)
	}
	if l.Add([]byte("late")) || l.Lost() {
		t.Error("taken after the end")
	}
}

// TestBacklogNotRead: one that does not read is given up, and no sooner than that; what
// is pushed is written all the same.
func TestBacklogNotRead(t *testing.T) {
	r, w := net.Pipe()
	budget := &Budget{Limit: 1 << 20}
	l := NewBacklog(w, budget, 10*time.Millisecond)
	taken := 0
	m := make([]byte, 10000)
	for l.Add(m) {
		taken++
	}
	if held := int64(taken * len(m)); !l.Lost() || held > budget.Limit || held < budget.Limit-int64(len(m)) {
		t.Errorf("%d bytes were taken, lost: %v", held, l.Lost())
	}
	l.Push([]byte("end"))
	l.Seal()
	all, err := io.ReadAll(io.LimitReader(r, int64(taken*len(m)+3)))
	if err != nil || !bytes.HasSuffix(all, []byte("\x00end")) {
		t.Errorf("%d bytes were read: %v", len(all), err)
	}
	<-l.Done()
	if n := budget.used.Load(); n != 0 {
		t.Errorf("%d bytes are held", n)
	}
}

// TestBacklogSlow: one that reads slowly is waited for.
func TestBacklogSlow(t *testing.T) {
	r, w := net.Pipe()
	l := NewBacklog(w, &Budget{Limit: floor}, time.Minute)
	go func() {
		m := make([]byte, 10000)
		for range 200 {
			if !l.Add(m) {
				t.Error("not taken")
				break
			}
		}
		l.Seal()
		<-l.Done()
		w.Close()
	}()
	if all, err := io.ReadAll(r); err != nil || len(all) != 200*10000 {
		t.Errorf("%d bytes were read: %v", len(all), err)
	}
}

// TestBacklogGone: one that is gone holds nothing.
func TestBacklogGone(t *testing.T) {
	r, w := net.Pipe()
	r.Close()
	budget := &Budget{Limit: 1 << 20}
	l := NewBacklog(w, budget, time.Hour)
	l.Push(make([]byte, 3*piece))
	<-l.Done()
	if l.Add([]byte("x")) || budget.used.Load() != 0 {
		t.Errorf("%d bytes are held", budget.used.Load())
	}
}
