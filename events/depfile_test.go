package events

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
	"testing"
)

// depfile returns the rule for "out" that is made of events.
func depfile(t *testing.T, events []Event, targets ...string) string {
	t.Helper()
	var out bytes.Buffer
	d := NewDepfile(&out, targets)
	err := d.Begin(&Header{Cwd: "/w"})
	for i := range events {
		err = errors.Join(err, d.Event(&events[i]))
	}
	if out.Len() > 0 {
		t.Errorf("%q written before the end", out.String())
	}
	if err = errors.Join(err, d.End(&Trailer{})); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func readOf(path string) Event  { return Event{Op: OpRead, Path: path, State: StateFile} }
func writeOf(path string) Event { return Event{Op: OpWrite, Path: path, State: StateAbsent} }

func withFlags(e Event, flags ...string) Event {
	e.Flags = flags
	return e
}

func renameOf(path, to string, s State, flags ...string) Event {
	return Event{Op: OpRename, Path: path, To: to, State: s, ToState: StateAbsent, Flags: flags}
}

func TestDepfilePrerequisites(t *testing.T) {
	existing := func(path string, flags ...string) Event {
		return withFlags(Event{Op: OpWrite, Path: path, State: StateFile}, flags...)
	}
	remove := func(path string) Event { return Event{Op: OpDelete, Path: path, State: StateFile} }
	link := Event{Op: OpCreate, Path: "/a", To: "/b", State: StateFile, ToState: StateAbsent}
	tests := []struct {
		name   string
		events []Event
		want   string // separated by blanks
	}{
		{"nothing", nil, ""},
		{"in order of first access", []Event{readOf("/b"), readOf("/a"), readOf("/b")}, "/b /a"},
		{"not what is no file", []Event{
			{Op: OpRead, Path: "/a", State: StateAbsent},
			{Op: OpRead, Path: "/d", State: StateDir},
			{Op: OpRead, Path: "/o", State: StateOther},
			{Op: OpRead, Path: "/u", State: StateUnknown},
			{Op: OpStat, Path: "/s", State: StateFile},
			{Op: OpExec, Exe: "/x", Argv: []string{"x"}},
		}, ""},
		{"programs", []Event{{Op: OpExec, Syscall: "execve", Path: "/bin/cc", Real: "/bin/gcc", State: StateFile}}, "/bin/cc /bin/gcc"},
		{"the dangling end of a link", []Event{{Op: OpRead, Path: "/l", Real: "/none", State: StateAbsent}}, ""},
		{"volatile", []Event{
			readOf("/proc/1/maps"), readOf("/sys/x"), readOf("/dev/shm/x"), readOf("/process"),
			{Op: OpRead, Path: "/proc/self/exe", Real: "/bin/x", State: StateFile},
			{Op: OpRead, Path: "/proc/self/fd/0", Real: "pipe:[1]", State: StateFile},
		}, "/process /bin/x"},
		{"targets", []Event{readOf("/w/out"), readOf("/w/x/out"), readOf("/other")}, "/w/x/out"},
		{"written, then read", []Event{writeOf("/a"), readOf("/a")}, ""},
		{"read, then written", []Event{readOf("/a"), existing("/a", "O_WRONLY", "O_TRUNC")}, "/a"},
		{"written through a link", []Event{{Op: OpWrite, Path: "/l", Real: "/a", State: StateFile}, readOf("/a"), readOf("/l")}, ""},
		{"opened for both", []Event{existing("/a", "O_RDWR", "O_CREAT"), readOf("/a")}, "/a"},
		{"opened for both, truncated", []Event{existing("/a", "O_RDWR", "O_TRUNC"), readOf("/a")}, ""},
		{"opened for both, new", []Event{withFlags(writeOf("/a"), "O_RDWR", "O_CREAT"), readOf("/a")}, ""},
		{"O_EXCL of what exists fails", []Event{existing("/a", "O_WRONLY", "O_CREAT", "O_EXCL"), readOf("/a")}, "/a"},
		{"O_TMPFILE", []Event{{Op: OpWrite, Path: "/d", State: StateDir, Flags: []string{"O_RDWR", "O_TMPFILE"}}, readOf("/d/x")}, "/d/x"},
		{"created", []Event{{Op: OpCreate, Path: "/n", State: StateAbsent}, readOf("/n")}, ""},
		{"create of what exists fails", []Event{{Op: OpCreate, Path: "/n", State: StateFile}, readOf("/n")}, "/n"},
		{"symlink made", []Event{
			{Op: OpCreate, Path: "/l", Target: "a", State: StateAbsent},
			{Op: OpRead, Path: "/l", Real: "/a", State: StateFile},
		}, "/a"},
		{"hard link", []Event{link, readOf("/b")}, "/a"},
		{"hard link of what was made", []Event{writeOf("/a"), link, readOf("/b")}, ""},
		{"hard link that fails", []Event{{Op: OpCreate, Path: "/a", To: "/b", State: StateFile, ToState: StateFile}, readOf("/b")}, "/b"},
		{"read, then deleted", []Event{readOf("/a"), remove("/a")}, ""},
		{"deleted in vain", []Event{readOf("/a"), remove("/a"), readOf("/a")}, "/a"},
		{"not there to be deleted", []Event{readOf("/a"), {Op: OpDelete, Path: "/a", State: StateAbsent}}, "/a"},
		{"deleted and made again", []Event{readOf("/a"), remove("/a"), writeOf("/a")}, "/a"},
		{"renamed away", []Event{readOf("/a"), renameOf("/a", "/b", StateFile), readOf("/b")}, ""},
		{"replaced by a rename", []Event{readOf("/a"), writeOf("/t"), renameOf("/t", "/a", StateFile), readOf("/a")}, "/a"},
		{"rename of nothing", []Event{readOf("/b"), renameOf("/a", "/c", StateAbsent), readOf("/c")}, "/b /c"},
		{"rename to itself", []Event{readOf("/a"), renameOf("/a", "/a", StateFile)}, "/a"},
		{"mv to another file system", []Event{
			renameOf("/a", "/m/a", StateFile), readOf("/a"), writeOf("/m/a"), readOf("/m/a"),
		}, "/a"},
		{"RENAME_NOREPLACE in vain", []Event{
			{Op: OpRename, Path: "/a", To: "/b", State: StateFile, ToState: StateFile, Flags: []string{"RENAME_NOREPLACE"}},
			readOf("/a"), readOf("/b"),
		}, "/a /b"},
		{"RENAME_EXCHANGE", []Event{
			readOf("/a"), renameOf("/a", "/b", StateFile, "RENAME_EXCHANGE"), readOf("/b"), readOf("/a"),
		}, "/a"},
		{"RENAME_EXCHANGE of directories", []Event{
			renameOf("/a", "/b", StateDir, "RENAME_EXCHANGE"), readOf("/b/x"), readOf("/a/x"), readOf("/c/x"),
		}, "/c/x"},
		{"directory renamed", []Event{
			readOf("/d/in"), writeOf("/d/x"), readOf("/dx"), renameOf("/d", "/e", StateDir),
			readOf("/e/x"), readOf("/e/in"), readOf("/e/y/z"), readOf("/ex"),
		}, "/dx /ex"},
		{"directory renamed away and another put there", []Event{
			readOf("/d/in"), renameOf("/d", "/d.old", StateDir), {Op: OpCreate, Path: "/d", State: StateAbsent}, writeOf("/d/in"),
		}, "/d/in"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := depfile(t, tt.events, "out", "/other")
			want := "out /other:"
			for _, p := range strings.Fields(tt.want) {
				want += " \\\n  " + p
			}
			if got != want+"\n" {
				t.Errorf("got\n%swant\n%s", got, want)
			}
		})
	}
}

// What begins with an assignment is no rule to make.
func TestDepfileEqualsNotFirst(t *testing.T) {
	got := depfile(t, []Event{readOf("/a=1"), readOf("/b=1"), readOf("/c"), readOf("/d")}, "out")
	if want := "out: \\\n  /c \\\n  /a=1 \\\n  /b=1 \\\n  /d\n"; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// Each prerequisite that can be a target has a rule of its own.
func TestDepfilePhony(t *testing.T) {
	var out bytes.Buffer
	d := NewDepfile(&out, []string{"out"}, PhonyPrerequisites())
	err := d.Begin(&Header{Cwd: "/w"})
	for _, path := range []string{"/a b", "/c=1", "/50%", "/[id]", "/d"} {
		e := readOf(path)
		err = errors.Join(err, d.Event(&e))
	}
	if err = errors.Join(err, d.End(&Trailer{})); err != nil {
		t.Fatal(err)
	}
	if got, want := out.String(), "out: \\\n  /a\\ b \\\n  /c=1 \\\n  /50% \\\n  /[id] \\\n  /d\n/a\\ b:\n/d:\n"; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestDepfileRefusesTargets(t *testing.T) {
	for target, want := range map[string]string{
		"":     `depfile: write target "": it is empty`,
		"a%":   `depfile: write target "a%": make takes "%" for a pattern`,
		"a=b":  `depfile: write target "a=b": make takes "=" for an assignment`,
		"~a":   `depfile: write target "~a": make takes "~" at the beginning for a home directory`,
		"a&":   `depfile: write target "a&": make takes "&" at the end for a grouped rule`,
		"a\nb": `depfile: write target "a\nb": it has a newline, which cannot be written there`,
		"a:":   `depfile: write target "a:": ':' at the end cannot be written such that make and ninja both read it`,
	} {
		if err := NewDepfile(nil, []string{"out", target}).Begin(&Header{}); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if err := NewDepfile(nil, nil).Begin(&Header{}); err == nil || err.Error() != "depfile: no target" {
		t.Errorf("no target: %v", err)
	}
}

// A path that cannot be written is named, and nothing is written instead.
func TestDepfileRefusesPaths(t *testing.T) {
	for _, path := range []string{
		"/new\nline", "/tab\t", "/cr\r", "/a;b", "/a|b", "/a*", "/a<b", "/a>b", "/a^b", "/a`b", "/\x01", "/\x7f",
		"/end ", "/end:", `/end\`, "/lib(member)", `/a\#b`, `/a\:b`, `/a\$b`, "/only=this",
	} {
		var out bytes.Buffer
		d := NewDepfile(&out, []string{"out"})
		e := readOf(path)
		err := errors.Join(d.Begin(&Header{}), d.Event(&e), d.End(&Trailer{}))
		if prefix := "depfile: write prerequisite " + strconv.Quote(path) + ": "; err == nil || !strings.HasPrefix(err.Error(), prefix) {
			t.Errorf("%q: got %v", path, err)
		}
		if out.Len() > 0 {
			t.Errorf("%q: written: %q", path, out.String())
		}
	}
}

func TestDepfileWriteError(t *testing.T) {
	full := errors.New("full")
	d := NewDepfile(&recordingWriter{err: full}, []string{"out"})
	if err := errors.Join(d.Begin(&Header{}), d.End(&Trailer{})); !errors.Is(err, full) {
		t.Errorf("got %v", err)
	}
}
