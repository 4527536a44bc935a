package manifest

import (
	"encoding/hex"
	"sync"
	"testing"
	"time"

	"github.com/fstrace/fstrace/events"
)

// counting counts how often each file is read.
func counting(fs *fakeFS) func(path string) int {
	var mu sync.Mutex
	count := map[string]int{}
	fs.reading = func(path string) {
		mu.Lock()
		defer mu.Unlock()
		count[path]++
	}
	return func(path string) int {
		mu.Lock()
		defer mu.Unlock()
		return count[path]
	}
}

// TestCacheSparesHashing runs a session twice: the second reads no input.
func TestCacheSparesHashing(t *testing.T) {
	fs := newFakeFS()
	fs.write("/w/a", "a")
	fs.later()
	reads := counting(fs)
	o := Options{Cache: openTestCache(t, t.TempDir())}
	for range 2 {
		p := newPlay(t, fs, o)
		p.read("/w/a")
		if got := summary(p.end(), "a"); got != "in a file \"a\"\n" {
			t.Error(got)
		}
	}
	if n := reads("/w/a"); n != 1 {
		t.Errorf("read %d times", n)
	}
	if list, err := check(newEnded(t, fs, o), CheckOptions{Cache: o.Cache}, fs); err != nil || len(list) > 0 {
		t.Errorf("%v %v", list, err)
	}
	if n := reads("/w/a"); n != 1 {
		t.Errorf("read %d times, check included", n)
	}
}

func newEnded(t *testing.T, fs *fakeFS, o Options) *Manifest {
	t.Helper()
	p := newPlay(t, fs, o)
	p.read("/w/a")
	return p.end()
}

// TestRacyIsNotCached: a file that changed within the clock's tick is hashed, but its
// hash not kept, and it is looked at again in the end.
func TestRacyIsNotCached(t *testing.T) {
	fs := newFakeFS()
	fs.tick = time.Second // as on ext3
	fs.write("/w/a", "a")
	reads := counting(fs)
	o := Options{Cache: openTestCache(t, t.TempDir())}
	p := newPlay(t, fs, o)
	p.read("/w/a")
	p.hashed()
	if got := summary(p.end(), "a"); got != "in a file \"a\"\n" {
		t.Error(got)
	}
	if n := reads("/w/a"); n != 2 {
		t.Errorf("read %d times, want once at first and once in the end", n)
	}
	if _, ok := o.Cache.get(&identity{fs.files["/w/a"].info, 1}); ok {
		t.Error("a hash was kept that a change in the same tick would leave wrong")
	}
}

// TestRacyChange: somebody changes an input within the tick of the clock, such that
// no time stamp shows.
func TestRacyChange(t *testing.T) {
	fs := newFakeFS()
	fs.tick = time.Hour
	fs.clock = fs.clock.Truncate(time.Hour).Add(time.Minute)
	fs.write("/w/a", "a")
	p := newPlay(t, fs, Options{})
	before := fs.files["/w/a"].info
	p.read("/w/a")
	p.hashed()
	fs.write("/w/a", "x")
	if after := fs.files["/w/a"].info; after != before {
		t.Fatalf("the stamps tell: %+v %+v", before, after)
	}
	// An hour's tick is none that is allowed for; a stamp of this moment is.
	now := fs.now().UnixNano()
	fs.files["/w/a"].info.Mtime, fs.files["/w/a"].info.Ctime = before.Mtime, before.Ctime
	if isRacy(&before, time.Unix(0, now)) {
		t.Fatal("expected to look old")
	}
	p.r.hasher.result(&before).racy = true // as it would be with a tick that is
	m := p.end()
	if m.Complete() || m.Incomplete[0].Reason != events.ReasonChanged {
		t.Errorf("not noticed: %s", summary(m, "a", "x"))
	}
}

// TestGuardBeforeFold: the call that changes a file is guarded before the events
// that made it an input have been folded.
func TestGuardBeforeFold(t *testing.T) {
	fs := newFakeFS()
	fs.write("/w/a", "a")
	fs.later()
	p := newPlay(t, fs, Options{})
	info, err := fs.lstat("/w/a")
	p.ok(err)
	p.r.Guard(events.OpWrite, "/w/a", info)
	fs.write("/w/a", "x")
	read := &events.Event{PID: 1, Op: events.OpRead, Syscall: "open", Path: "/w/a", State: events.StateFile, Info: info, Time: fs.now()}
	write := *read
	write.Op, write.Flags = events.OpWrite, []string{"O_WRONLY", "O_TRUNC"}
	p.ok(p.r.Event(read))
	p.ok(p.r.Event(&write))
	if got, want := summary(p.end(), "a", "x"), "in a file \"a\"\nout a file \"x\" over file\n"; got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

// TestGuardWaits: a file that is being hashed is not let be changed.
func TestGuardWaits(t *testing.T) {
	fs := newFakeFS()
	fs.write("/w/a", "a")
	fs.later()
	reading, goOn := make(chan struct{}), make(chan struct{})
	fs.reading = func(string) {
		close(reading)
		<-goOn
	}
	p := newPlay(t, fs, Options{})
	p.read("/w/a")
	<-reading
	info, err := fs.lstat("/w/a")
	p.ok(err)
	guarded := make(chan struct{})
	go func() {
		p.r.Guard(events.OpWrite, "/w/a", info)
		close(guarded)
	}()
	select {
	case <-guarded:
		t.Error("let through while the file was being read")
	case <-time.After(10 * time.Millisecond): // it must not happen, so there is nothing to wait for
	}
	close(goOn)
	<-guarded
	fs.reading = nil
	p.hashed()
	if got := summary(p.end(), "a"); got != "in a file \"a\"\n" {
		t.Error(got)
	}
}

// TestGuardOwn: the session's own files are not hashed when it changes them, or
// a log would be read as a whole at each line.
func TestGuardOwn(t *testing.T) {
	fs := newFakeFS()
	fs.write("/w/a", "a")
	fs.later()
	reads := counting(fs)
	p := newPlay(t, fs, Options{})
	for range 5 {
		p.write("/w/new", "x")
		all := "aa"
		p.open("/w/a", &all, "O_WRONLY", "O_APPEND")
	}
	if n := reads("/w/new"); n != 0 {
		t.Errorf("the session's own file was read %d times before its end", n)
	}
	if n := reads("/w/a"); n != 1 {
		t.Errorf("a file that it appends to was read %d times, want once, before the first", n)
	}
	p.end()
}

// TestGuardMade: a file that the session makes is its own before the event that
// says so has been folded.
func TestGuardMade(t *testing.T) {
	fs := newFakeFS()
	reads := counting(fs)
	p := newPlay(t, fs, Options{})
	p.r.Guard(events.OpWrite, "/w/new", events.FileInfo{})
	fs.write("/w/new", "x")
	info, err := fs.lstat("/w/new")
	p.ok(err)
	p.r.Guard(events.OpWrite, "/w/new", info)
	if n := reads("/w/new"); n != 0 {
		t.Errorf("read %d times before its end", n)
	}
	p.end()
}

// TestGuardMoved: what is still to be hashed has another name by now.
func TestGuardMoved(t *testing.T) {
	fs := newFakeFS()
	fs.mkdir("/w/d")
	fs.write("/w/d/a", "a")
	h := newHasher(fs, nil, fs.now) // with nobody at work
	info, err := fs.lstat("/w/d/a")
	if err != nil {
		t.Fatal(err)
	}
	h.want("/w/d/a", &info)
	fs.rename("/w/d", "/w/e")
	h.guard("/w/e/a", &info)
	if j := h.result(&info); j.err != nil || hex.EncodeToString(j.sum[:]) != sumOf("a") {
		t.Errorf("%x, %v", j.sum, j.err)
	}
}

// TestGuardMovedMeanwhile: somebody is about to hash it by a name that it has no more.
func TestGuardMovedMeanwhile(t *testing.T) {
	fs := newFakeFS()
	fs.mkdir("/w/d")
	fs.write("/w/d/a", "a")
	h := newHasher(fs, nil, fs.now)
	info, err := fs.lstat("/w/d/a")
	if err != nil {
		t.Fatal(err)
	}
	j, mine := h.take("/w/d/a", &info)
	if !mine {
		t.Fatal("there is somebody else")
	}
	fs.rename("/w/d", "/w/e")
	guarded := make(chan struct{})
	go func() {
		h.guard("/w/e/a", &info)
		close(guarded)
	}()
	h.run(j, make([]byte, bufferSize))
	<-guarded
	if j := h.result(&info); j.err != nil || hex.EncodeToString(j.sum[:]) != sumOf("a") {
		t.Errorf("%x, %v", j.sum, j.err)
	}
}
