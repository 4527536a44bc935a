package manifest

import (
	"bytes"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fstrace/fstrace/events"
	"golang.org/x/sys/unix"
)

// A fakeFS is a file system with a clock: a call takes a millisecond, a tick of
// the stamps is as long as a test wants.
type fakeFS struct {
	mu    sync.Mutex
	files map[string]*fakeFile
	clock time.Time
	tick  time.Duration
	inos  uint64
	root  bool // the session is root's
	// reading, if set, is called while a file is being read.
	reading func(path string)
}

type fakeFile struct {
	info    events.FileInfo
	content string // of a file; the target of a link
}

func newFakeFS() *fakeFS {
	f := &fakeFS{files: make(map[string]*fakeFile), clock: time.Unix(1_000_000, 1), tick: time.Nanosecond}
	f.mkdir("/")
	f.mkdir("/w")
	return f
}

func (f *fakeFS) now() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.clock = f.clock.Add(time.Millisecond)
	return f.clock
}

func (f *fakeFS) stamp() int64 {
	f.clock = f.clock.Add(time.Millisecond)
	return f.clock.Truncate(f.tick).UnixNano()
}

// later lets time pass: what is there is old then.
func (f *fakeFS) later() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.clock = f.clock.Add(time.Hour)
}

func (f *fakeFS) put(path, content string, mode uint32) {
	f.mu.Lock()
	defer f.mu.Unlock()
	x := f.files[path]
	made := x == nil || x.info.Mode&unix.S_IFMT != mode&unix.S_IFMT
	if made {
		f.inos++
		x = &fakeFile{info: events.FileInfo{Dev: 1, Ino: f.inos, Mode: mode, Nlink: 1}}
		f.files[path] = x
	}
	x.content = content // by whatever name it has
	x.info.Size, x.info.Mtime = int64(len(content)), f.stamp()
	x.info.Ctime = x.info.Mtime
	if made && path != "/" {
		f.touchDir(path)
	}
}

func (f *fakeFS) touchDir(path string) {
	if dir := f.files[parentOf(path)]; dir != nil {
		dir.info.Mtime = f.stamp()
		dir.info.Ctime = dir.info.Mtime
	}
}

func (f *fakeFS) write(path, content string)  { f.put(path, content, unix.S_IFREG|0o644) }
func (f *fakeFS) mkdir(path string)           { f.put(path, "", unix.S_IFDIR|0o755) }
func (f *fakeFS) symlink(path, target string) { f.put(path, target, unix.S_IFLNK|0o777) }

func (f *fakeFS) remove(path string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if x := f.files[path]; x != nil {
		x.info.Nlink--
	}
	delete(f.files, path)
	f.touchDir(path)
}

func (f *fakeFS) rename(from, to string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	moved := map[string]*fakeFile{}
	for path, x := range f.files {
		if isWithin(path, from) {
			moved[to+path[len(from):]] = x
			delete(f.files, path)
		}
	}
	if over := f.files[to]; over != nil {
		over.info.Nlink--
	}
	for path, x := range moved {
		f.files[path] = x
	}
	f.files[to].info.Ctime = f.stamp()
	f.touchDir(from)
	f.touchDir(to)
}

// exchange swaps what is at two paths, and below.
func (f *fakeFS) exchange(a, b string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	moved := map[string]*fakeFile{}
	for path, x := range f.files {
		switch {
		case isWithin(path, a):
			moved[b+path[len(a):]] = x
		case isWithin(path, b):
			moved[a+path[len(b):]] = x
		default:
			continue
		}
		delete(f.files, path)
	}
	for path, x := range moved {
		f.files[path] = x
	}
	for _, path := range []string{a, b} {
		f.files[path].info.Ctime = f.stamp()
		f.touchDir(path)
	}
}

func (f *fakeFS) chmod(path string, mode uint32) {
	f.mu.Lock()
	defer f.mu.Unlock()
	x := f.files[path]
	x.info.Mode = x.info.Mode&unix.S_IFMT | mode
	x.info.Ctime = f.stamp()
}

func (f *fakeFS) link(from, to string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.files[to] = f.files[from]
	f.files[to].info.Nlink++
	f.files[to].info.Ctime = f.stamp()
	f.touchDir(to)
}

func (f *fakeFS) lstat(path string) (events.FileInfo, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if x := f.files[path]; x != nil {
		return x.info, nil
	}
	for path != "/" {
		path = parentOf(path)
		switch x := f.files[path]; {
		case x == nil:
		case x.info.Mode&unix.S_IFMT == unix.S_IFREG:
			return events.FileInfo{}, unix.ENOTDIR
		case x.info.Mode&unix.S_IFMT == unix.S_IFLNK: // nobody follows it here
			return events.FileInfo{}, unix.ELOOP
		}
	}
	return events.FileInfo{}, unix.ENOENT
}

func (f *fakeFS) identify(path string) (identity, error) {
	info, err := f.lstat(path)
	return identity{info, 1}, err
}

func (f *fakeFS) readlink(path string) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if x := f.files[path]; x != nil {
		return x.content, nil
	}
	return "", unix.ENOENT
}

func (f *fakeFS) readDir(path string) (dirList, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	x := f.files[path]
	switch {
	case x == nil:
		return dirList{}, unix.ENOENT
	case x.info.Mode&unix.S_IFMT != unix.S_IFDIR:
		return dirList{}, unix.ENOTDIR
	case x.info.Mode&0o400 == 0:
		return dirList{}, unix.EACCES
	}
	var names []string
	for name, x := range f.files {
		if name != "/" && parentOf(name) == path {
			names = append(names, typedName(stateOf(&x.info, nil), baseOf(name)))
		}
	}
	return dirList{info: x.info, names: names}, nil
}

func (f *fakeFS) open(path string) (file, error) {
	f.mu.Lock()
	x := f.files[path]
	f.mu.Unlock()
	switch {
	case x == nil:
		return nil, unix.ENOENT
	case x.info.Mode&0o400 == 0:
		return nil, unix.EACCES
	}
	return &fakeOpen{fs: f, path: path, file: x}, nil
}

func (f *fakeFS) privileged() bool { return f.root }

type fakeOpen struct {
	fs   *fakeFS
	path string
	file *fakeFile
	r    io.Reader
}

func (o *fakeOpen) Read(b []byte) (int, error) {
	if o.r == nil {
		if o.fs.reading != nil {
			o.fs.reading(o.path)
		}
		o.fs.mu.Lock()
		o.r = strings.NewReader(o.file.content)
		o.fs.mu.Unlock()
	}
	return o.r.Read(b)
}

func (o *fakeOpen) Close() error { return nil }

func (o *fakeOpen) stat() (events.FileInfo, error) {
	o.fs.mu.Lock()
	defer o.fs.mu.Unlock()
	if now := o.fs.files[o.path]; now != nil && now.info.Ino == o.file.info.Ino {
		return now.info, nil
	}
	return o.file.info, nil
}

// A play is a session on a fake file system: each method is a call of its one
// process, as the tracer reports it, followed by what the kernel does then.
type play struct {
	t   testing.TB
	fs  *fakeFS
	r   *Recorder
	out bytes.Buffer
	// late, if set, holds events back until they are flushed, as a recorder that does
	// not get a processor does.
	late bool
	held []*events.Event
	// twin, if not nil, gets the same calls.
	twin *Recorder
	// sweeping, if set, has the fold look after each event for what it can forget.
	sweeping bool
}

func newPlay(t testing.TB, fs *fakeFS, o Options) *play {
	t.Helper()
	p := &play{t: t, fs: fs}
	var err error
	if p.r, err = newRecorder(&p.out, o, fs, fs.now); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.r.Close)
	p.ok(p.r.Begin(&events.Header{Session: "s", Argv: []string{"cmd"}, Cwd: "/w"}))
	p.event(&events.Event{Op: events.OpStart, Argv: []string{"cmd"}})
	return p
}

func (p *play) ok(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// event fills in what the tracer sees, guards, and passes the event on.
func (p *play) event(e *events.Event) {
	p.t.Helper()
	e.PID, e.TID, e.Time = 1, 1, p.fs.now()
	look := func(path string, s *events.State, info *events.FileInfo) {
		if path == "" || *s != events.StateNone {
			return
		}
		got, err := p.fs.lstat(path)
		*s, *info = stateOf(&got, err), got
	}
	look(subject(e), &e.State, &e.Info)
	look(e.To, &e.ToState, &e.ToInfo)
	switch guarded := e.State == events.StateFile || e.State == events.StateSymlink; {
	case e.Op == events.OpList, e.Op == events.OpDelete, e.Op == events.OpWrite && (guarded || e.State == events.StateAbsent):
		p.guard(e.Op, subject(e), e.Info)
	case e.Op == events.OpCreate && e.To != "":
		p.guardMaking(e.To, e.ToState)
	case e.Op == events.OpCreate:
		p.guardMaking(e.Path, e.State)
	case e.Op == events.OpRename:
		p.guard(events.OpCreate, e.To, e.ToInfo)
		p.guard(events.OpRename, e.Path, e.Info)
		if hasFlag(e, "RENAME_EXCHANGE") {
			p.guard(events.OpCreate, e.Path, e.Info)
			p.guard(events.OpRename, e.To, e.ToInfo)
		}
	}
	p.held = append(p.held, e)
	if !p.late {
		p.flush()
	}
}

func (p *play) guardMaking(path string, s events.State) {
	if s == events.StateAbsent {
		p.guard(events.OpChattr, path, events.FileInfo{})
	}
}

func (p *play) guard(op events.Op, path string, info events.FileInfo) {
	p.r.Guard(op, path, info)
	if p.twin != nil {
		p.twin.Guard(op, path, info)
	}
}

// flush has the recorder learn of what was held back.
func (p *play) flush() {
	p.t.Helper()
	for _, e := range p.held {
		if p.sweeping {
			p.r.fold.forgotten.due = 0
		}
		p.ok(p.r.Event(e))
		if p.twin != nil {
			p.ok(p.twin.Event(e))
		}
	}
	p.held = nil
}

func (p *play) read(path string) {
	p.event(&events.Event{Op: events.OpRead, Syscall: "openat", Path: path, Flags: []string{"O_RDONLY"}})
}

func (p *play) stat(path string) {
	p.event(&events.Event{Op: events.OpStat, Syscall: "newfstatat", Path: path})
}

func (p *play) access(path string) {
	p.event(&events.Event{Op: events.OpStat, Syscall: "access", Path: path})
}

func (p *play) list(path string) {
	p.event(&events.Event{Op: events.OpList, Syscall: "getdents64", Path: path, State: events.StateDir})
}

// open opens for writing; the content is nil if the call fails.
func (p *play) open(path string, content *string, flags ...string) {
	p.event(&events.Event{Op: events.OpWrite, Syscall: "openat", Path: path, Flags: flags})
	if content != nil {
		p.fs.write(path, *content)
	}
}

func (p *play) write(path, content string) {
	p.open(path, &content, "O_WRONLY", "O_CREAT", "O_TRUNC")
}

func (p *play) mkdir(path string) {
	p.event(&events.Event{Op: events.OpCreate, Syscall: "mkdir", Path: path})
	if _, err := p.fs.lstat(path); err != nil {
		p.fs.mkdir(path)
	}
}

func (p *play) unlink(path string) {
	p.event(&events.Event{Op: events.OpDelete, Syscall: "unlink", Path: path})
	p.fs.remove(path)
}

func (p *play) rename(from, to string) {
	p.event(&events.Event{Op: events.OpRename, Syscall: "rename", Path: from, To: to})
	p.fs.rename(from, to)
}

func (p *play) link(from, to string) {
	p.event(&events.Event{Op: events.OpCreate, Syscall: "link", Path: from, To: to})
	p.fs.link(from, to)
}

// hashed waits for what is being hashed.
func (p *play) hashed() {
	p.r.hasher.mu.Lock()
	var jobs []*hashJob
	for _, j := range p.r.hasher.jobs {
		jobs = append(jobs, j)
	}
	p.r.hasher.mu.Unlock()
	for _, j := range jobs {
		<-j.done
	}
}

// end ends the session and returns the manifest, as it is read again.
func (p *play) end() *Manifest {
	p.t.Helper()
	p.event(&events.Event{Op: events.OpExit, Exit: &events.Exit{}})
	p.flush()
	p.ok(p.r.End(&events.Trailer{}))
	m, err := Decode(bytes.NewReader(p.out.Bytes()))
	p.ok(err)
	var again bytes.Buffer
	p.ok(m.Encode(&again))
	if !bytes.Equal(again.Bytes(), p.out.Bytes()) {
		p.t.Errorf("encoded:\n%s\ndecoded, and encoded again:\n%s", &p.out, &again)
	}
	return m
}
