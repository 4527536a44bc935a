package manifest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/fstrace/fstrace/events"
	"golang.org/x/sys/unix"
)

// A live is a session in a real directory: each method is a call of its one process, as
// the tracer reports it before the kernel does it. Its files that are still open are
// closed in the end.
type live struct {
	t   *testing.T
	dir string
	r   *Recorder
	out bytes.Buffer
}

func newLive(t *testing.T) *live {
	t.Helper()
	l := &live{t: t, dir: t.TempDir()}
	var fs unix.Statfs_t
	l.ok(unix.Statfs(l.dir, &fs))
	if !localFileSystems[int64(fs.Type)] {
		t.Skipf("%s is on a file system that is not watched (type %#x)", l.dir, fs.Type)
	}
	var err error
	l.r, err = NewRecorder(&l.out, Options{})
	l.ok(err)
	t.Cleanup(l.r.Close)
	l.ok(l.r.Begin(&events.Header{Session: "s", Argv: []string{"cmd"}, Cwd: l.dir}))
	return l
}

func (l *live) ok(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

func (l *live) at(name string) string { return filepath.Join(l.dir, name) }

// told passes a call to the recorder.
func (l *live) told(e events.Event) {
	l.t.Helper()
	e.PID, e.TID, e.Time = 1, 1, time.Now()
	look := func(path string, s *events.State, info *events.FileInfo) {
		if path != "" {
			got, err := (osFS{}).lstat(path)
			*s, *info = stateOf(&got, err), got
		}
	}
	look(e.Path, &e.State, &e.Info)
	look(e.To, &e.ToState, &e.ToInfo)
	exchange := slices.Contains(e.Flags, "RENAME_EXCHANGE")
	if e.To != "" {
		l.r.Guard(events.OpCreate, e.To, e.ToInfo)
	}
	if exchange {
		l.r.Guard(events.OpCreate, e.Path, e.Info)
	}
	l.r.Guard(e.Op, e.Path, e.Info)
	if exchange {
		l.r.Guard(e.Op, e.To, e.ToInfo)
	}
	l.ok(l.r.Event(&e))
}

// refused passes an open that fails.
func (l *live) refused(name string) {
	l.told(events.Event{Op: events.OpWrite, Syscall: "openat", Path: l.at(name), Flags: []string{"O_WRONLY", "O_CREAT", "O_TRUNC"}})
}

func (l *live) open(name string, flag int) *os.File {
	l.t.Helper()
	names := []string{"O_WRONLY", "O_CREAT"}
	if flag&os.O_TRUNC != 0 {
		names = append(names, "O_TRUNC")
	}
	l.told(events.Event{Op: events.OpWrite, Syscall: "openat", Path: l.at(name), Flags: names})
	f, err := os.OpenFile(l.at(name), os.O_WRONLY|os.O_CREATE|flag, 0o644)
	l.ok(err)
	l.t.Cleanup(func() { f.Close() })
	return f
}

func (l *live) write(name string) {
	l.t.Helper()
	f := l.open(name, os.O_TRUNC)
	_, err := f.WriteString("good\n")
	l.ok(err)
	l.ok(f.Close())
}

func (l *live) add(name string) {
	l.t.Helper()
	f := l.open(name, os.O_APPEND)
	_, err := f.WriteString("more\n")
	l.ok(err)
	l.ok(f.Close())
}

func (l *live) rename(from, to string) {
	l.t.Helper()
	l.told(events.Event{Op: events.OpRename, Syscall: "rename", Path: l.at(from), To: l.at(to)})
	l.ok(os.Rename(l.at(from), l.at(to)))
}

func (l *live) exchange(a, b string) {
	l.t.Helper()
	l.told(events.Event{Op: events.OpRename, Syscall: "renameat2", Flags: []string{"RENAME_EXCHANGE"}, Path: l.at(a), To: l.at(b)})
	l.ok(unix.Renameat2(unix.AT_FDCWD, l.at(a), unix.AT_FDCWD, l.at(b), unix.RENAME_EXCHANGE))
}

func (l *live) remove(name string) {
	l.t.Helper()
	l.told(events.Event{Op: events.OpDelete, Syscall: "unlink", Path: l.at(name)})
	l.ok(unix.Unlink(l.at(name)))
}

func (l *live) rmdir(name string) {
	l.t.Helper()
	l.told(events.Event{Op: events.OpDelete, Syscall: "rmdir", Path: l.at(name)})
	l.ok(unix.Rmdir(l.at(name)))
}

func (l *live) mkdir(name string) {
	l.t.Helper()
	l.told(events.Event{Op: events.OpCreate, Syscall: "mkdir", Path: l.at(name)})
	l.ok(os.Mkdir(l.at(name), 0o755))
}

// outsider writes to a file as somebody else does.
func (l *live) outsider(name string) {
	l.t.Helper()
	l.ok(os.WriteFile(l.at(name), []byte("evil\n"), 0o644))
}

// replaces renames something over a file as somebody else does.
func (l *live) replaces(name string) {
	l.t.Helper()
	l.outsider("elsewhere")
	l.ok(os.Rename(l.at("elsewhere"), l.at(name)))
}

// end ends the session and returns what somebody else is said to have done.
func (l *live) end() (problems []string) {
	l.t.Helper()
	l.ok(l.r.End(&events.Trailer{}))
	m, err := Decode(&l.out)
	l.ok(err)
	for _, in := range m.Incomplete {
		if in.Reason != events.ReasonChanged {
			l.t.Errorf("%+v", in)
		}
		detail, _ := bytes.CutPrefix([]byte(in.Detail), []byte(l.dir+"/"))
		problems = append(problems, string(detail))
	}
	return problems
}

const (
	wroteTo  = ": somebody else opened it for writing after the command had"
	replaced = ": somebody else replaced it after the command had made it"
)

// TestOutsider: what somebody else does to an output is found out, and what the session
// does itself is not taken for it.
func TestOutsider(t *testing.T) {
	for name, c := range map[string]struct {
		session func(l *live)
		want    []string
	}{
		"overwrites":           {func(l *live) { l.write("o"); l.outsider("o") }, []string{"o" + wroteTo}},
		"overwrites twice":     {func(l *live) { l.write("o"); l.write("o"); l.outsider("o"); l.outsider("o") }, []string{"o" + wroteTo}},
		"overwrites an open":   {func(l *live) { f := l.open("o", 0); l.outsider("o"); l.write("x"); l.ok(f.Close()) }, []string{"o" + wroteTo}},
		"replaces":             {func(l *live) { l.write("o"); l.replaces("o") }, []string{"o" + replaced}},
		"before the next":      {func(l *live) { l.write("o"); l.outsider("o"); l.add("o") }, []string{"o" + wroteTo}},
		"what is renamed":      {func(l *live) { l.write("t"); l.outsider("t"); l.rename("t", "o") }, []string{"o" + wroteTo}},
		"after the renaming":   {func(l *live) { l.write("t"); l.rename("t", "o"); l.outsider("o") }, []string{"o" + wroteTo}},
		"replaces the renamed": {func(l *live) { l.write("t"); l.rename("t", "o"); l.replaces("o") }, []string{"o" + replaced}},
		"in a renamed dir":     {func(l *live) { l.mkdir("d"); l.write("d/o"); l.rename("d", "e"); l.outsider("e/o") }, []string{"e/o" + wroteTo}},
		"one of many":          {func(l *live) { l.many(); l.outsider("n7") }, []string{"n7" + wroteTo}},
		"the second of a name": {func(l *live) { l.write("o"); l.remove("o"); l.write("o"); l.outsider("o") }, []string{"o" + wroteTo}},
		"the second of a dir":  {func(l *live) { l.remade(); l.outsider("d/o") }, []string{"d/o" + wroteTo}},
		"reads":                {func(l *live) { l.write("o"); _, err := os.ReadFile(l.at("o")); l.ok(err) }, nil},
		"came before":          {func(l *live) { l.write("x"); l.outsider("o"); l.write("o") }, nil},
		"replaced before":      {func(l *live) { l.write("x"); l.replaces("o"); l.write("o") }, nil},
		"has another file":     {func(l *live) { l.write("o"); l.outsider("x"); l.replaces("y") }, nil},
		"overwrites what goes": {func(l *live) { l.write("o"); l.outsider("o"); l.remove("o"); l.write("o") }, nil},
		"what is replaced":     {func(l *live) { l.write("o"); l.outsider("o"); l.write("t"); l.rename("t", "o") }, nil},
		"nobody: again":        {func(l *live) { l.write("o"); l.write("o"); l.add("o"); l.add("o") }, nil},
		"nobody: many":         {func(l *live) { l.many() }, nil},
		"nobody: refused":      {func(l *live) { l.refused("o"); l.write("o"); l.refused("o") }, nil},
		"nobody: still open":   {func(l *live) { l.open("o", 0); l.open("o", 0); l.write("o") }, nil},
		"nobody: closed late": {func(l *live) {
			f := l.open("o", 0)
			g := l.open("o", 0)
			l.ok(g.Close())
			l.write("o")
			l.ok(f.Close())
		}, nil},
		"nobody: open, renamed": {func(l *live) { f := l.open("t", 0); l.rename("t", "o"); l.ok(f.Close()); l.write("o") }, nil},
		"nobody: open, moved": {func(l *live) {
			l.mkdir("d")
			f := l.open("t", 0)
			l.rename("t", "d/o")
			l.rename("d", "e")
			l.ok(f.Close())
			l.add("e/o")
		}, nil},
		"nobody: open, removed": {func(l *live) { f := l.open("o", 0); l.remove("o"); l.write("o"); l.ok(f.Close()) }, nil},
		"nobody: open, replaced": {func(l *live) {
			f := l.open("o", 0)
			l.write("t")
			l.rename("t", "o")
			l.ok(f.Close())
		}, nil},
		"nobody: temporaries": {func(l *live) {
			for range 5 {
				l.write("t")
				l.rename("t", "o")
			}
		}, nil},
		"nobody: exchange": {func(l *live) { l.write("a"); l.write("b"); l.exchange("a", "b"); l.add("a"); l.exchange("b", "a") }, nil},
		"nobody: dirs exchanged": {func(l *live) {
			l.mkdir("a")
			l.mkdir("b")
			f := l.open("a/o", 0)
			l.write("b/o")
			l.exchange("a", "b")
			l.ok(f.Close())
			l.add("a/o")
			l.add("b/o")
			l.add("a/o")
		}, nil},
		"nobody: dir remade": {func(l *live) { l.remade(); l.add("d/o") }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLive(t)
			c.session(l)
			if got := l.end(); !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// many writes more files than notices are read at a time.
func (l *live) many() {
	for i := range 3 * mostCalls {
		l.write(fmt.Sprint("n", i))
	}
}

// remade writes to a file in a directory that is there for the second time.
func (l *live) remade() {
	for range 2 {
		l.mkdir("d")
		l.write("d/o")
		l.remove("d/o")
		l.rmdir("d")
	}
	l.mkdir("d")
	l.write("d/o")
}

// TestWatcherForgets: names that come and go take no memory.
func TestWatcherForgets(t *testing.T) {
	l := newLive(t)
	for i := range 2000 {
		name := fmt.Sprint("t", i)
		l.write(name)
		switch i % 3 {
		case 0:
			l.rename(name, "o")
		case 1:
			l.remove(name)
		case 2:
			f := l.open(name, os.O_TRUNC)
			l.remove(name)
			l.ok(f.Close())
		}
	}
	l.r.watch.mu.Lock()
	names := l.r.watch.names
	l.r.watch.mu.Unlock()
	if names > mostCalls+2 {
		t.Errorf("%d names are kept", names)
	}
	l.outsider("o")
	if got, want := l.end(), []string{"o" + wroteTo}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestWatcherOverflow: nothing is detected once the kernel has dropped a notice.
func TestWatcherOverflow(t *testing.T) {
	b, err := os.ReadFile("/proc/sys/fs/inotify/max_queued_events")
	if err != nil {
		t.Fatal(err)
	}
	var most int
	if _, err := fmt.Sscan(string(b), &most); err != nil {
		t.Fatal(err)
	}
	if most > 1<<16 {
		t.Skipf("the kernel queues %d events", most)
	}
	l := newLive(t)
	l.write("o")
	l.outsider("o")
	for i := range most/2 + 1 { // an open and a close each
		l.outsider(fmt.Sprint("x", i%2))
	}
	if got := l.end(); len(got) > 0 {
		t.Errorf("got %q", got)
	}
}

// TestParseNotices: what the kernel does not write is refused.
func TestParseNotices(t *testing.T) {
	event := func(watch int32, mask uint32, length int, name string) []byte {
		b := binary.NativeEndian.AppendUint32(nil, uint32(watch))
		b = binary.NativeEndian.AppendUint32(b, mask)
		b = binary.NativeEndian.AppendUint32(b, 7)
		b = binary.NativeEndian.AppendUint32(b, uint32(length))
		return append(append(b, name...), make([]byte, max(0, length-len(name)))...)
	}
	for name, c := range map[string]struct {
		b    []byte
		want string
		ok   bool
	}{
		"nothing":     {nil, "", true},
		"two":         {append(event(1, unix.IN_OPEN, 16, "a"), event(2, unix.IN_IGNORED, 0, "")...), "1 32 7 a;2 32768 7 ;", true},
		"no NUL":      {event(1, unix.IN_OPEN, 4, "abcd"), "1 32 7 abcd;", true},
		"overflow":    {append(event(1, unix.IN_OPEN, 16, "a"), event(-1, unix.IN_Q_OVERFLOW, 0, "")...), "1 32 7 a;", false},
		"cut off":     {event(1, unix.IN_OPEN, 16, "a")[:20], "", false},
		"half a head": {event(1, unix.IN_OPEN, 16, "a")[:9], "", false},
		"long":        {event(1, unix.IN_OPEN, -1, ""), "", false},
	} {
		got := ""
		ok := parseNotices(c.b, func(n notice) { got += fmt.Sprintf("%d %d %d %s;", n.watch, n.mask, n.cookie, n.name) })
		if got != c.want || ok != c.ok {
			t.Errorf("%s: got %q, %v; want %q, %v", name, got, ok, c.want, c.ok)
		}
	}
}

// TestInotifyClose: the descriptor that is closed by another leaves nothing behind.
func TestInotifyClose(t *testing.T) {
	before := openFiles(t)
	n := newInotify()
	if n == nil {
		t.Fatal("no inotify")
	}
	if _, ok := n.add(t.TempDir(), 0); !ok {
		t.Skip("the directory for temporary files is not watched")
	}
	n.close()
	if after := openFiles(t); !slices.Equal(before, after) {
		t.Errorf("open before: %v, after: %v", before, after)
	}
}

// openFiles lists this process's descriptors.
func openFiles(t *testing.T) (list []string) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		target, err := os.Readlink("/proc/self/fd/" + e.Name())
		if err == nil { // not that of the listing itself
			list = append(list, e.Name()+" "+target)
		}
	}
	return list
}
