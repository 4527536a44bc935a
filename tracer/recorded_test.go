package tracer

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/seccomp"
	"github.com/fstrace/fstrace/testdata/harness"
	"github.com/fstrace/fstrace/tracer/internal/observe"
	"github.com/fstrace/fstrace/tracer/internal/procfs"
	slots "github.com/fstrace/fstrace/tracer/internal/recorder"
	"github.com/fstrace/fstrace/tracer/internal/resolve"
	"github.com/fstrace/fstrace/tracer/internal/syscalls"
	"golang.org/x/sys/unix"
)

// add adds a process whose ring is drained from now on.
func (s *recordings) add(r ring, p *process, dir procfs.Place) *source {
	s.mu.Lock()
	defer s.mu.Unlock()
	src := &source{ring: r, proc: p, dir: dir, early: make(map[uint64]resolve.Result)}
	s.sources = append(s.sources, src)
	return src
}

// A fakeRing is a ring that a test fills.
type fakeRing struct {
	calls []*fakeCall
	err   error
}

type fakeCall struct {
	slots.Record
	given bool
}

func (f *fakeRing) Drain(_ *slots.Counter, begun bool, yield func(*slots.Record)) error {
	var rest []*fakeCall
	for _, c := range f.calls {
		rec := c.Record
		rec.Again = c.given
		if c.Returned || begun && !c.given || c.Void && c.given {
			c.given = true
			yield(&rec)
		}
		if !c.Returned && !c.Void {
			rest = append(rest, c)
		}
	}
	f.calls = rest
	return f.err
}

func (f *fakeRing) Open(slots.Opening) {}

func (f *fakeRing) Reclaim() int { return 0 }

func (f *fakeRing) Suspect() {}

// A doubleWorld is some processes and a tree of files. What the processes do is learnt
// twice: by notifications, at the moment of each call, and from their own records.
type doubleWorld struct {
	t        *testing.T
	random   *rand.Rand
	dir      string
	procs    []*doubleProc
	index    *syscalls.Index
	counter  *slots.Counter
	notified *observe.Observer // the first way
	events   []string          // what it gives

	recorded *recordings // the second way
	observer *observe.Observer
	queue    *queue
	gaps     *incompleteness
	labels   map[*entry]string
	told     map[string]slots.Record // by label, of those that had returned when they were collected
}

type doubleProc struct {
	proc *process
	base procfs.Place
	dir  int // a descriptor of base
	ring *fakeRing
}

func newDoubleWorld(t *testing.T, seed uint64) *doubleWorld {
	t.Helper()
	w := &doubleWorld{
		t: t, random: rand.New(rand.NewPCG(seed, 0)), queue: newQueue(), gaps: new(incompleteness),
		labels: make(map[*entry]string), told: make(map[string]slots.Record),
	}
	w.dir = harness.TempTree(t)
	for _, sub := range []string{"a", "a/b", "c"} {
		harness.Mkdir(t, w.dir+"/"+sub)
	}
	for _, file := range []string{"f", "a/f", "a/b/g"} {
		harness.WriteFile(t, w.dir+"/"+file, "x")
	}
	harness.Symlink(t, "a/f", w.dir+"/l")
	harness.Symlink(t, "a", w.dir+"/ld")
	harness.Symlink(t, "missing", w.dir+"/ll")
	var err error
	if w.index, err = syscalls.NewIndex(); err != nil {
		t.Fatal(err)
	}
	if w.counter, err = slots.NewCounter(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.counter.Close() })
	w.notified, w.observer = w.newObserver(new(incompleteness)), w.newObserver(w.gaps)
	w.recorded = &recordings{queue: w.queue, index: w.index, incomplete: w.gaps, counter: w.counter}
	for i, sub := range []string{"", "/a", "/a/b"} {
		p := &doubleProc{proc: &process{pid: os.Getpid() + i}, base: procfs.Place{Path: w.dir + sub}, ring: new(fakeRing)}
		if p.dir, err = unix.Open(p.base.Path, unix.O_PATH|unix.O_CLOEXEC, 0); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(p.dir) })
		w.recorded.add(p.ring, p.proc, p.base)
		w.procs = append(w.procs, p)
	}
	return w
}

func (w *doubleWorld) newObserver(g *incompleteness) *observe.Observer {
	w.t.Helper()
	c, err := observe.NewShared(newRegistry(), g.add, new(resolve.ServedPaths))
	if err != nil {
		w.t.Fatal(err)
	}
	return observe.New(c, nil)
}

// path draws one that a process gives.
func (w *doubleWorld) path() string {
	names := []string{
		"f", "a", "a/f", "a/b", "a/b/g", "c", "l", "ld", "ld/f", "ld/b/g", "ll", "missing", "new", "c/new", "a/new", "a/b/new",
		"../f", "../a/f", "./f", ".", "..", "f/x", "new/x", "c/new/x", "b/g", "g", "b/../f", "ld/../f", "c/",
	}
	name := names[w.random.IntN(len(names))]
	if w.random.IntN(3) == 0 {
		return w.dir + "/" + name
	}
	return name
}

// pathToChange draws one that is not a process's working directory: those stay where they
// are.
func (w *doubleWorld) pathToChange(p *doubleProc) string {
	for {
		path := w.path()
		full := filepath.Join(p.base.Path, path)
		if path[0] == '/' {
			full = filepath.Clean(path)
		}
		if !slices.ContainsFunc(w.procs, func(o *doubleProc) bool { return o.base.Path == full }) {
			return path
		}
	}
}

// A call of a process by its name, with paths in this one's memory.
func (w *doubleWorld) call(p *doubleProc, name string, args [6]uint64, paths ...string) (c *observe.Call, memory [][]byte) {
	w.t.Helper()
	abi := w.index.Native()
	c = &observe.Call{
		TID: os.Getpid(), PID: p.proc.pid, Followed: true, Dir: &p.proc.dir, Row: w.index.Row(abi.Audit, abi.Numbers(name)[0]), ABI: abi, Args: args,
		Source: new(procfs.Memory),
	}
	places := []int8{c.Row.First.Path, c.Row.Second.Path}
	if c.Row.How == syscalls.BySymlink {
		places, paths = append(places[:1], 0), append(slices.Clone(paths), "a")
	}
	if at := c.Row.First.Dir; at != syscalls.None {
		c.Args[at] = uint64(p.dir)
	}
	if at := c.Row.Second.Dir; c.Row.Second.Set && at != syscalls.None {
		c.Args[at] = uint64(p.dir)
	}
	for i, path := range paths {
		b := append([]byte(path), 0)
		memory = append(memory, b)
		c.Args[places[i]] = uint64(reflect.ValueOf(b).Pointer())
	}
	return c, memory
}

// observe has a call observed.
func (w *doubleWorld) observe(o *observe.Observer, p *doubleProc, a *observe.Access, name string, args [6]uint64, paths ...string) {
	w.t.Helper()
	c, memory := w.call(p, name, args, paths...)
	if !o.Observe(c, a) {
		w.t.Fatalf("%s %q is not observed", name, paths)
	}
	runtime.KeepAlive(memory)
}

// line is what a test compares of an access.
func line(a *observe.Access) (s string) {
	new(observe.Maker).Make(a, func(e *events.Event) {
		s += fmt.Sprintf("%d %s %s %s as %s is %s, leads to %s, flags %v links %v left %v info %+v to %s as %s is %s\n",
			e.PID, e.Op, e.Syscall, e.Path, e.As, e.State, e.Real, e.Flags, e.Links, e.Left, e.Info, e.To, e.ToAs, e.ToState)
	})
	return s
}

// opOf returns what an access means.
func opOf(a *observe.Access) (op events.Op) {
	new(observe.Maker).Make(a, func(e *events.Event) { op = e.Op })
	return op
}

// A read is a call of a process that records it.
type read struct {
	proc   *doubleProc
	name   string
	path   string
	record *fakeCall
}

func (w *doubleWorld) newRead(p *doubleProc) *read {
	calls := []string{"newfstatat", "statx", "faccessat", "faccessat2", "readlinkat"}
	return &read{proc: p, name: calls[w.random.IntN(len(calls))], path: w.path()}
}

// begin takes a number and publishes the call.
func (w *doubleWorld) begin(r *read) {
	here := unix.AT_FDCWD
	rec := slots.Record{Number: w.counter.Next(), Call: w.index.Native().Numbers(r.name)[0], Path: []byte(r.path)}
	rec.Args[0] = uint64(here)
	if w.random.IntN(2) == 0 {
		switch r.name {
		case "newfstatat":
			rec.Args[3] = unix.AT_SYMLINK_NOFOLLOW
		case "statx":
			rec.Args[2] = unix.AT_SYMLINK_NOFOLLOW
		}
	}
	r.record = &fakeCall{Record: rec}
	r.proc.ring.calls = append(r.proc.ring.calls, r.record)
}

// make makes the call, and has it observed at this moment as a notified one is.
func (w *doubleWorld) make(r *read, o *observe.Observer) (told slots.Record, seen string) {
	w.t.Helper()
	told = r.record.Record
	var args [6]uint64
	copy(args[:], told.Args[:])
	var a observe.Access
	w.observe(o, r.proc, &a, r.name, args, r.path)
	var st unix.Stat_t
	var err error
	switch r.name {
	case "newfstatat", "statx":
		err = unix.Fstatat(r.proc.dir, r.path, &st, int(args[3]|args[2]))
		told.HasInfo = err == nil
	case "faccessat", "faccessat2":
		err = unix.Faccessat(r.proc.dir, r.path, unix.F_OK, 0)
	default:
		b := make([]byte, 300)
		var n int
		n, err = unix.Readlinkat(r.proc.dir, r.path, b)
		told.Result, told.Target = int64(max(n, 0)), b[:max(n, 0)]
	}
	if told.HasInfo {
		told.Info = resolve.InfoOf(&st)
	}
	if errno, ok := err.(unix.Errno); ok {
		told.Result, told.Target = -int64(errno), nil
	}
	told.Returned = true
	return told, line(&a)
}

// A change is a call that is notified either way.
type change struct {
	proc  *doubleProc
	name  string
	paths []string
	args  [6]uint64
}

func (w *doubleWorld) newChange(p *doubleProc) *change {
	ch := &change{proc: p, paths: []string{w.pathToChange(p)}}
	switch w.random.IntN(7) {
	case 0:
		ch.name = "mkdirat"
	case 1:
		ch.name = "unlinkat"
	case 2:
		ch.name, ch.args[2] = "unlinkat", unix.AT_REMOVEDIR
	case 3:
		ch.name, ch.paths = "renameat", append(ch.paths, w.pathToChange(p))
	case 4:
		ch.name = "symlinkat"
	default:
		ch.name, ch.args[2] = "openat", unix.O_CREAT|unix.O_WRONLY|unix.O_TRUNC
	}
	return ch
}

// notify has a change observed both ways.
func (w *doubleWorld) notify(ch *change) *entry {
	w.t.Helper()
	c, _ := w.call(ch.proc, ch.name, ch.args, ch.paths...)
	if !mayChange(c.Row, &c.Args, c.ABI) {
		w.t.Fatalf("%s is taken for a call that changes nothing", ch.name)
	}
	w.placing(true, func() { w.recorded.before(w.observer, nil, c) })
	e := new(entry)
	w.observe(w.observer, ch.proc, &e.access, ch.name, ch.args, ch.paths...)
	var a observe.Access
	w.observe(w.notified, ch.proc, &a, ch.name, ch.args, ch.paths...)
	w.events = append(w.events, line(&a))
	w.queue.reserve(e)
	w.queue.finish(e, false)
	return e
}

// perform makes a change.
func (w *doubleWorld) perform(ch *change) {
	dir, path := ch.proc.dir, ch.paths[0]
	switch ch.name { // it may fail: nobody gets as its answer
	case "mkdirat":
		_ = unix.Mkdirat(dir, path, 0o755)
	case "unlinkat":
		_ = unix.Unlinkat(dir, path, int(ch.args[2]))
	case "renameat":
		_ = unix.Renameat(dir, path, dir, ch.paths[1])
	case "symlinkat":
		_ = unix.Symlinkat("a", dir, path)
	case "openat":
		if fd, err := unix.Openat(dir, path, int(ch.args[2])|unix.O_CLOEXEC, 0o644); err == nil {
			_, _ = unix.Write(fd, []byte("content"))
			unix.Close(fd)
		}
	}
}

// gather collects and looks.
func (w *doubleWorld) gather(begun bool) {
	w.t.Helper()
	w.placing(begun, func() {
		w.recorded.collect(begun)
		w.recorded.look(w.observer, nil)
	})
}

// placing calls f, which has to give the calls that were recorded their places, and notes
// which entry is whose.
func (w *doubleWorld) placing(begun bool, f func()) {
	w.t.Helper()
	var calls []slots.Record
	for _, p := range w.procs {
		for _, c := range p.ring.calls {
			if !c.given && (begun || c.Returned) && p.ring.err == nil {
				calls = append(calls, c.Record)
			}
		}
	}
	slices.SortFunc(calls, func(a, b slots.Record) int { return cmp.Compare(a.Number, b.Number) })
	n := len(w.queue.entries)
	f()
	placed := w.queue.entries[n:]
	if len(placed) != len(calls) {
		w.t.Fatalf("%d calls have got places, want %d", len(placed), len(calls))
	}
	for i, c := range calls {
		label := fmt.Sprint("call ", c.Number)
		w.labels[placed[i]] = label
		if c.Returned {
			w.told[label] = c
		}
	}
}

// all returns what the second way has given.
func (w *doubleWorld) all() []*entry {
	w.t.Helper()
	w.gather(true)
	for i, e := range w.queue.entries {
		if !e.final {
			w.t.Fatalf("entry %d is not settled", i)
		}
	}
	return w.queue.entries
}

// worlds runs a test for some seeds.
func worlds(t *testing.T, n int, test func(w *doubleWorld)) {
	t.Helper()
	first := uint64(1)
	if os.Getenv("FSTRACE_STRESS") != "" {
		first, n = rand.Uint64(), 10*n
	}
	for seed := first; seed < first+uint64(n) && !t.Failed(); seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { test(newDoubleWorld(t, seed)) })
	}
}

// TestRecordedAsNotified: calls that come one after the other are the same accesses in
// the same order whether they are notified or recorded, whenever the records are
// collected.
func TestRecordedAsNotified(t *testing.T) {
	worlds(t, 40, func(w *doubleWorld) {
		for range 200 {
			p := w.procs[w.random.IntN(len(w.procs))]
			switch w.random.IntN(12) {
			case 0, 1:
				ch := w.newChange(p)
				w.notify(ch)
				w.perform(ch)
			case 2:
				w.gather(w.random.IntN(2) == 0)
			default:
				r := w.newRead(p)
				w.begin(r)
				told, seen := w.make(r, w.notified)
				w.events = append(w.events, seen)
				r.record.Record = told
			}
		}
		var got []string
		for _, e := range w.all() {
			got = append(got, line(&e.access))
		}
		for i := range max(len(got), len(w.events)) {
			if i >= len(got) || i >= len(w.events) || got[i] != w.events[i] {
				w.t.Fatalf("access %d of %d and %d:\n%s\nnotified it is\n%s", i, len(got), len(w.events), lineAt(got, i), lineAt(w.events, i))
			}
		}
		if gaps := w.gaps.list(); len(gaps) > 0 {
			w.t.Errorf("incomplete: %+v", gaps)
		}
	})
}

func lineAt(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return "(none)"
}

// A doing is a call in progress.
type doing struct {
	read         *read
	change       *change
	called       bool
	told         slots.Record
	label        string
	began, ended int // when
}

// TestRecordedBeside has the steps of calls that processes make at the same time
// interleave. Every call has one place, behind all that had returned before it began. One
// that had returned when it was collected is what its caller was told. Nothing is
// missing: all changes are the session's own.
func TestRecordedBeside(t *testing.T) {
	worlds(t, 40, func(w *doubleWorld) {
		busy := make(map[*doubleProc]*doing)
		var all []*doing
		for step := 1; step < 800; step++ {
			if w.random.IntN(8) == 0 {
				w.gather(w.random.IntN(3) == 0)
				continue
			}
			p := w.procs[w.random.IntN(len(w.procs))]
			d := busy[p]
			if d == nil {
				d = w.set(p, step)
				busy[p] = d
				all = append(all, d)
			} else if w.goOn(d) {
				d.ended = step
				delete(busy, p)
			}
		}
		w.checkPlaces(all)
		if gaps := w.gaps.list(); len(gaps) > 0 {
			w.t.Errorf("incomplete: %+v", gaps)
		}
	})
}

// set has a process begin a call.
func (w *doubleWorld) set(p *doubleProc, step int) *doing {
	d := &doing{began: step}
	if w.random.IntN(6) == 0 {
		d.change, d.label = w.newChange(p), fmt.Sprint("change ", step)
		w.labels[w.notify(d.change)] = d.label
		return d
	}
	d.read = w.newRead(p)
	w.begin(d.read)
	d.label = fmt.Sprint("call ", d.read.record.Number)
	return d
}

// goOn makes the next step of a call, and reports whether it has returned.
func (w *doubleWorld) goOn(d *doing) bool {
	switch {
	case d.change != nil:
		w.perform(d.change)
		return true
	case !d.called:
		d.told, _ = w.make(d.read, w.newObserver(new(incompleteness)))
		d.called = true
		return false
	}
	d.read.record.Record = d.told
	return true
}

func (w *doubleWorld) checkPlaces(all []*doing) {
	w.t.Helper()
	places := make(map[string]int)
	for i, e := range w.all() {
		label := w.labels[e]
		if _, twice := places[label]; twice || label == "" {
			w.t.Fatalf("%q has two places, or entry %d is nobody's", label, i)
		}
		places[label] = i
		c, told := w.told[label]
		switch r := &e.access.First; {
		case !told:
		case c.HasInfo && (r.Info != c.Info || r.State != resolve.StateOf(c.Info.Mode)),
			c.Result == -int64(unix.ENOENT) && r.State != events.StateAbsent,
			c.Result >= 0 && r.State == events.StateAbsent:
			w.t.Errorf("told %+v, recorded %s", c, line(&e.access))
		}
	}
	for _, d := range all {
		place, ok := places[d.label]
		if !ok {
			w.t.Fatalf("%s is not in the record", d.label)
		}
		for _, other := range all {
			if other.ended > 0 && other.ended < d.began && places[other.label] > place {
				w.t.Errorf("%s had returned before %s began, and comes behind it", other.label, d.label)
			}
		}
	}
}

// TestRecordedInterference has somebody outside change files between a call and the look
// at its path: the record has what the call was told, and is incomplete where that shows.
func TestRecordedInterference(t *testing.T) {
	for _, test := range []struct {
		name, call, path string
		change           func(dir string) error
		state            events.State
		incomplete       bool
	}{
		{"nothing", "newfstatat", "f", func(string) error { return nil }, events.StateFile, false},
		{"removed", "newfstatat", "f", func(dir string) error { return os.Remove(dir + "/f") }, events.StateFile, true},
		{"made", "newfstatat", "missing", func(dir string) error { return os.Mkdir(dir+"/missing", 0o755) }, events.StateAbsent, true},
		{"replaced", "newfstatat", "f", func(dir string) error { return os.Rename(dir+"/a/f", dir+"/f") }, events.StateFile, true},
		{"written", "newfstatat", "f", func(dir string) error { return os.WriteFile(dir+"/f", []byte("longer"), 0o644) }, events.StateFile, false},
		{"removed, by access", "faccessat", "f", func(dir string) error { return os.Remove(dir + "/f") }, events.StateUnknown, true},
		{"a link no more", "readlinkat", "l", func(dir string) error { return os.Remove(dir + "/l") }, events.StateSymlink, true},
		{"a link now", "readlinkat", "f", func(dir string) error {
			return os.Rename(dir+"/l", dir+"/f")
		}, events.StateUnknown, true},
	} {
		for _, own := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/%v", test.name, own), func(t *testing.T) {
				w := newDoubleWorld(t, 1)
				p := w.procs[0]
				r := &read{proc: p, name: test.call, path: test.path}
				w.begin(r)
				told, _ := w.make(r, w.notified)
				r.record.Record = told
				if own { // the session has changed something there before
					ch := &change{proc: p, name: "unlinkat", paths: []string{test.path}}
					calls := p.ring.calls
					p.ring.calls = nil
					w.notify(ch)
					p.ring.calls = calls
				}
				if err := test.change(w.dir); err != nil {
					t.Fatal(err)
				}
				list := w.all()
				a := &list[len(list)-1].access
				if a.First.State != test.state || told.HasInfo && a.First.Info != told.Info {
					t.Errorf("told %+v, recorded %s", told, line(a))
				}
				gaps := w.gaps.list()
				if (len(gaps) > 0) != (test.incomplete && !own) || len(gaps) > 0 && gaps[0].Reason != events.ReasonChanged {
					t.Errorf("incomplete: %+v", gaps)
				}
			})
		}
	}
}

// TestRecordedDamaged: what a process has written into its ring makes its record
// incomplete, and nobody else's.
func TestRecordedDamaged(t *testing.T) {
	w := newDoubleWorld(t, 1)
	w.procs[0].ring.err = slots.ErrDamaged
	r := &read{proc: w.procs[1], name: "newfstatat", path: "f"}
	w.begin(r)
	told, _ := w.make(r, w.notified)
	r.record.Record = told
	if list := w.all(); len(list) != 1 || list[0].access.First.Path != w.dir+"/a/f" {
		t.Errorf("%d accesses", len(list))
	}
	if gaps := w.gaps.list(); len(gaps) != 1 || gaps[0].PID != w.procs[0].proc.pid || !strings.Contains(gaps[0].Detail, "written") {
		t.Errorf("incomplete: %+v", gaps)
	}
	w.recorded.drop(w.recorded.sources[0])
	if len(w.recorded.sources) != 2 {
		t.Errorf("%d processes record", len(w.recorded.sources))
	}
}

// TestMayChange: a call that is not known to change nothing is taken for one that does.
func TestMayChange(t *testing.T) {
	w := newDoubleWorld(t, 1)
	for name, want := range map[string]bool{
		"stat": false, "newfstatat": false, "statx": false, "access": false, "readlink": false, "getdents64": false, "statfs": false,
		"open": false, "openat": false, "creat": true, "openat2": true, "mkdir": true, "rename": true, "unlink": true, "chmod": true,
		"chdir": true, "fchdir": true, "chroot": true, "mount": true, "umount2": true, "move_mount": true, "unshare": true, "setns": true,
		"execve": true, "truncate": true, "connect": true, "bind": true, "open_tree": false, "mount_setattr": true,
	} {
		c, _ := w.call(w.procs[0], name, [6]uint64{})
		if got := mayChange(c.Row, &c.Args, c.ABI); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	for flags, want := range map[uint64]bool{unix.O_RDONLY: false, unix.O_WRONLY: true, unix.O_RDWR: true, unix.O_CREAT: true, unix.O_TRUNC: true, unix.O_PATH: false} {
		c, _ := w.call(w.procs[0], "openat", [6]uint64{2: flags})
		if got := mayChange(c.Row, &c.Args, c.ABI); got != want {
			t.Errorf("openat with flags %#x: %v, want %v", flags, got, want)
		}
	}
}

// TestRecordedBegun: a call that never returns is looked at before the next change, as a
// notified one is, and comes before it. An answer that comes late may tell otherwise: the
// change is the session's own.
func TestRecordedBegun(t *testing.T) {
	for _, late := range []bool{false, true} {
		w := newDoubleWorld(t, 1)
		p := w.procs[0]
		r := &read{proc: p, name: "newfstatat", path: "f"}
		w.begin(r)
		w.gather(false)
		if len(w.queue.entries) > 0 {
			t.Fatal("a call that has only begun has a place though nothing changes")
		}
		ch := &change{proc: w.procs[1], name: "unlinkat", paths: []string{w.dir + "/f"}}
		w.notify(ch)
		w.perform(ch)
		if late {
			told, _ := w.make(r, w.notified)
			r.record.Record = told
		}
		list := w.all()
		if len(list) != 2 || list[0].access.First.State != events.StateFile || opOf(&list[1].access) != events.OpDelete {
			t.Errorf("%d accesses, first %s", len(list), line(&list[0].access))
		}
		if gaps := w.gaps.list(); len(gaps) > 0 {
			t.Errorf("incomplete: %+v", gaps)
		}
	}
}

// TestRecordedWithdrawn: a call that has its place, and is then made again as a notified
// one, is in the record once, unless the consumer has it already.
func TestRecordedWithdrawn(t *testing.T) {
	for _, taken := range []bool{false, true} {
		w := newDoubleWorld(t, 1)
		r := &read{proc: w.procs[0], name: "newfstatat", path: "f"}
		w.begin(r)
		w.gather(true)
		list := slices.Clone(w.queue.entries)
		if taken {
			w.queue.take(nil)
		}
		r.record.Void = true
		w.recorded.collect(false)
		w.recorded.look(w.observer, nil)
		if len(list) != 1 || list[0].dropped == taken || !list[0].final || len(w.queue.early) != 0 {
			t.Errorf("taken %v: %d entries, first %+v", taken, len(list), list[0])
		}
		if n := w.recorded.recorded; n != 0 {
			t.Errorf("%d calls were recorded", n)
		}
	}
}

// TestRecordedLateAnswer: somebody outside changes a file between the look at a call that
// has begun and the call.
func TestRecordedLateAnswer(t *testing.T) {
	for _, interfered := range []bool{false, true} {
		w := newDoubleWorld(t, 1)
		r := &read{proc: w.procs[0], name: "newfstatat", path: "f"}
		w.begin(r)
		w.gather(true)
		if interfered {
			if err := os.Remove(w.dir + "/f"); err != nil {
				t.Fatal(err)
			}
		}
		told, _ := w.make(r, w.notified)
		r.record.Record = told
		if list := w.all(); len(list) != 1 || list[0].access.First.State != events.StateFile {
			t.Errorf("%d accesses", len(list))
		}
		if gaps := w.gaps.list(); (len(gaps) > 0) != interfered {
			t.Errorf("incomplete: %+v", gaps)
		}
	}
}

// TestRecordedGivenUp: a look at a recorded call that is given up leaves nobody waiting
// for it, and the calls behind it are looked at by the next who does.
func TestRecordedGivenUp(t *testing.T) {
	w := newDoubleWorld(t, 1)
	for _, path := range []string{"f", "a"} {
		r := &read{proc: w.procs[0], name: "newfstatat", path: path}
		w.begin(r)
		told, _ := w.make(r, w.notified)
		r.record.Record = told
	}
	w.recorded.collect(true)
	// The listener is none: it answers nobody.
	h := &hand{receiver: &receiver{listener: new(seccomp.Listener), incomplete: w.gaps, queue: w.queue, recordings: w.recorded}, observer: w.observer}
	h.recorded = w.recorded.next(nil)
	h.observer.ObserveRecorded(&h.recorded.Recorded, &h.recorded.entry.access)
	h.call = observe.Call{Row: h.recorded.Row}
	h.caller, h.blank = &h.call, new(entry)
	h.giveUpOn(h)
	list := w.all()
	if len(list) != 2 || list[0].access.First.Set || list[1].access.First.State != events.StateDir {
		t.Errorf("%d accesses", len(list))
	}
	if gaps := w.gaps.list(); len(gaps) != 2 || gaps[0].Reason != events.ReasonUnanswered || gaps[1].Reason != events.ReasonUnanswered {
		t.Errorf("incomplete: %+v", gaps)
	}
}

// TestRecordable: every call that a process may record is one that the table has, names
// one path, and changes nothing.
func TestRecordable(t *testing.T) {
	w := newDoubleWorld(t, 1)
	for _, name := range slots.Calls() {
		c, _ := w.call(w.procs[0], name, [6]uint64{})
		if c.Row == nil || c.Row.Second.Set || c.Row.How != syscalls.ByRefs || mayChange(c.Row, &c.Args, c.ABI) {
			t.Errorf("%s: %+v", name, c.Row)
		}
	}
}
