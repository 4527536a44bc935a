package summary

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fstrace/fstrace/events"
)

var begun = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// at returns an event that happens some milliseconds after the first.
func at(ms int, e events.Event) events.Event {
	e.Time = begun.Add(time.Duration(ms) * time.Millisecond)
	return e
}

// record is that of a shell that runs two programs, one after the other.
func record() []events.Event {
	access := func(op events.Op, path string, state events.State) events.Event {
		return events.Event{PID: 2, Op: op, Syscall: "x", Path: path, State: state}
	}
	return []events.Event{
		at(0, events.Event{PID: 1, Op: events.OpStart, Argv: []string{"sh"}}),
		at(1, events.Event{PID: 2, Op: events.OpStart, PPID: 1, Argv: []string{"sh"}}),
		at(2, events.Event{PID: 2, Op: events.OpExec, Argv: []string{"cc", "a b"}}),
		at(3, access(events.OpExec, "/bin/cc", events.StateFile)),
		at(3, access(events.OpRead, "/a", events.StateFile)),
		at(4, access(events.OpRead, "/a", events.StateFile)),
		at(4, access(events.OpRead, "/dev/null", events.StateOther)),
		at(5, access(events.OpRead, "/gone", events.StateAbsent)),
		at(5, access(events.OpStat, "/gone", events.StateAbsent)),
		at(5, access(events.OpStat, "/a", events.StateFile)),
		at(5, access(events.OpDelete, "/missing", events.StateAbsent)),
		at(6, access(events.OpWrite, "/new", events.StateAbsent)),
		at(6, access(events.OpCreate, "/dir", events.StateAbsent)),
		at(7, events.Event{PID: 2, Op: events.OpRename, Syscall: "rename", Path: "/new", To: "/b", State: events.StateFile}),
		at(7, events.Event{PID: 2, Op: events.OpConnect, Syscall: "connect", Address: "inet 127.0.0.1:1"}),
		at(50, events.Event{PID: 2, Op: events.OpExit, Exit: &events.Exit{}}),
		at(51, events.Event{PID: 2, Op: events.OpStart, PPID: 1, Argv: []string{"sh"}}), // the number is used again
		at(52, events.Event{PID: 2, Op: events.OpExit, Exit: &events.Exit{}}),
	}
}

func sum(t *testing.T, s *Summary, list []events.Event, end *events.Trailer) {
	t.Helper()
	if err := s.Begin(&events.Header{Argv: []string{"sh", "-c", "it's"}}); err != nil {
		t.Fatal(err)
	}
	for i := range list {
		if err := s.Event(&list[i]); err != nil {
			t.Fatal(err)
		}
	}
	if end == nil {
		s.CutOff()
	} else if err := s.End(end); err != nil {
		t.Fatal(err)
	}
}

func TestSummary(t *testing.T) {
	s := &Summary{KeepPaths: true}
	sum(t, s, record(), &events.Trailer{End: begun.Add(100 * time.Millisecond), Exit: events.Exit{Code: 3}})
	var b strings.Builder
	if err := s.WriteText(&b, 2); err != nil {
		t.Fatal(err)
	}
	want := `sh -c 'it'\''s'
time       100ms; exit status 3
processes  3, at most 2 at once
files      2 read, 4 written or removed; 18 events
not found  3 lookups of 2 paths
record     complete

read most often
       2  /a
       1  /bin/cc

not found most often
       2  /gone
       1  /missing

slowest processes
   100ms  1 sh
    49ms  2 cc 'a b'
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestSummaryCutOff(t *testing.T) {
	s := &Summary{}
	sum(t, s, record()[:6], nil)
	var b strings.Builder
	if err := s.WriteBrief(&b, "> "); err != nil {
		t.Fatal(err)
	}
	want := `> time       4ms; the record ends here
> processes  2, at most 2 at once
> files      2 read, 0 written or removed; 6 events
> not found  0 lookups of 0 paths
> record     cut off
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
	if list := s.MostRead(10); len(list) > 0 {
		t.Errorf("paths were kept: %v", list)
	}
}

func TestSummaryIncomplete(t *testing.T) {
	s := &Summary{}
	sum(t, s, nil, &events.Trailer{Incomplete: []events.Incomplete{
		{Reason: events.ReasonIOURing, PID: 1}, {Reason: events.ReasonRunning}, {Reason: events.ReasonIOURing, PID: 2},
	}})
	var b strings.Builder
	if err := s.WriteBrief(&b, ""); err != nil {
		t.Fatal(err)
	}
	if want := "record     incomplete: io_uring, descendant_running\n"; !strings.HasSuffix(b.String(), want) || !strings.HasPrefix(b.String(), "time       0s; ") {
		t.Errorf("got %s, want %s at the end", b.String(), want)
	}
}

// TestSummaryManyProcesses: of many processes the slowest are kept.
func TestSummaryManyProcesses(t *testing.T) {
	s := &Summary{}
	var list []events.Event
	for i := range 10 * kept {
		long := i * 7919 % (10 * kept) // each duration once
		list = append(list, at(0, events.Event{PID: i, Op: events.OpStart}), at(long, events.Event{PID: i, Op: events.OpExit}))
	}
	sum(t, s, list, &events.Trailer{})
	var got []time.Duration
	for _, p := range s.Slowest(3) {
		got = append(got, p.Duration)
	}
	most := (10*kept - 1) * int(time.Millisecond)
	want := []time.Duration{time.Duration(most), time.Duration(most) - time.Millisecond, time.Duration(most) - 2*time.Millisecond}
	if !slices.Equal(got, want) || len(s.ended) > 2*kept {
		t.Errorf("slowest are %v of %d, want %v", got, len(s.ended), want)
	}
	if n := len(s.Slowest(5 * kept)); n < kept {
		t.Errorf("%d processes were kept, want %d", n, kept)
	}
}

func TestCommandLine(t *testing.T) {
	for _, test := range []struct {
		argv []string
		want string
	}{
		{nil, ""},
		{[]string{"ls", "-l", "/tmp/a=b,c"}, "ls -l /tmp/a=b,c"},
		{[]string{"sh", "-c", "a b", ""}, `sh -c 'a b' ""`},
		{[]string{"a\nb", "\xff"}, `"a\nb" "\xff"`},
		{[]string{strings.Repeat("ä", longest)}, strings.Repeat("ä", longest/2) + "…"},
	} {
		if got := commandLine(test.argv); got != test.want {
			t.Errorf("%q: %s, want %s", test.argv, got, test.want)
		}
	}
}

func ExampleSummary() {
	s := &Summary{KeepPaths: true}
	_ = s.Begin(&events.Header{Argv: []string{"make"}})
	_ = s.Event(&events.Event{Op: events.OpRead, Path: "/Makefile", State: events.StateFile})
	_ = s.End(&events.Trailer{})
	fmt.Println(s.FilesRead, s.MostRead(1)[0].Path)
	// Output: 1 /Makefile
}
