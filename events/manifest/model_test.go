package manifest

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/testdata/fixed"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// A model plays a session that does anything in any order, and knows the truth of it:
// where each file that was there before has gone, and whether it still holds what
// it held.
//
// What must hold of the manifest: what it says of an input is how that was before the
// session; what the session took in without having made it is an input; outputs are
// what there is in the end and was not before, as it is; and nothing is missing.
type model struct {
	*play
	r       *rapid.T
	initial map[string]fakeFile
	truth   map[*fakeFile]*truth
	wanted  map[string]want
	put     map[string]bool // where the session put something, by the names of before
	carried map[string]want // of what was renamed
	links   bool            // there were files with several names
	refused bool            // the kernel has refused something
	writes  int
}

// truth is what became of a file.
type truth struct {
	origin string // its path before the session, "" if that made it
	dirty  bool   // the session changed what it holds
}

// A want is what a session must have as an input.
type want uint8

const (
	wantExistence want = 1 << iota
	wantTimes
	wantContent
	wantNames
)

var modelPaths = []string{
	"/w/a", "/w/b", "/w/c", "/w/d", "/w/e", "/w/d/a", "/w/d/b", "/w/d/s", "/w/d/s/a", "/w/e/a", "/w/e/s", "/w/e/s/a",
}

func newModel(t *testing.T, r *rapid.T) *model {
	fs, links := newFakeFS(), false
	for _, path := range modelPaths {
		parent, err := fs.lstat(parentOf(path))
		if err != nil || parent.Mode&unix.S_IFMT != unix.S_IFDIR {
			continue
		}
		kinds := []string{"file", "file", "file", "absent", "absent", "symlink", "symlink", "link"}
		if strings.ContainsAny(baseOf(path), "des") {
			kinds = []string{"dir", "dir", "dir", "absent", "file", "symlink"}
		}
		switch rapid.SampledFrom(kinds).Draw(r, path) {
		case "file":
			fs.write(path, "was "+path)
		case "dir":
			fs.mkdir(path)
		case "symlink":
			fs.symlink(path, "to "+path)
		case "link":
			if x := fs.files["/w/a"]; x != nil && x.info.Mode&unix.S_IFMT == unix.S_IFREG && path != "/w/a" {
				fs.link("/w/a", path)
				links = true
			}
		}
	}
	fs.later()
	m := &model{play: newPlay(t, fs, Options{}), r: r, initial: map[string]fakeFile{}, truth: map[*fakeFile]*truth{}, wanted: map[string]want{}, put: map[string]bool{}, carried: map[string]want{}, links: links}
	m.late = true
	for path, x := range fs.files {
		m.initial[path] = *x
		if m.truth[x] == nil {
			m.truth[x] = &truth{origin: path}
		}
	}
	return m
}

func (m *model) state(path string) events.State {
	info, err := m.fs.lstat(path)
	return stateOf(&info, err)
}

// originOf returns what path was called before the session; "" if it is below something
// that the session made.
func (m *model) originOf(path string) string {
	if path == "/" {
		return path
	}
	parent := m.fs.files[parentOf(path)]
	if parent == nil || parent.info.Mode&unix.S_IFMT != unix.S_IFDIR || m.truth[parent].origin == "" {
		return ""
	}
	return join(m.truth[parent].origin, baseOf(path))
}

// wants notes what an access to path takes in.
func (m *model) wants(path string, w want) {
	x := m.fs.files[path]
	if x == nil {
		if was := m.originOf(path); was != "" {
			if _, ok := m.initial[was]; !ok && !m.put[was] {
				m.wanted[was] |= wantExistence
			}
		}
		return
	}
	// A file with two names is the input that it was found by, if it is where it was.
	tr := m.truth[x]
	if tr.origin == "" || tr.dirty {
		return
	}
	was := tr.origin
	if m.linked(x) {
		if was = m.originOf(path); was == "" || m.initial[was].info.Ino != x.info.Ino {
			return
		}
	}
	switch {
	case x.info.Mode&unix.S_IFMT != unix.S_IFREG:
		w &^= wantTimes | wantContent
	case w&wantContent != 0:
		w &^= wantTimes
	}
	if x.info.Mode&unix.S_IFMT != unix.S_IFDIR {
		w &^= wantNames
	}
	m.wanted[was] |= w
}

// linked reports whether a file has, or had, several names.
func (m *model) linked(x *fakeFile) bool {
	n := 0
	for _, was := range m.initial {
		if was.info.Ino == x.info.Ino {
			n++
		}
	}
	for _, y := range m.fs.files {
		if y == x {
			n++
		}
	}
	return n > 2
}

// fails draws whether the kernel refuses a call for what cannot be seen: permissions,
// a full disk.
func (m *model) fails() bool {
	refused := rapid.IntRange(0, 7).Draw(m.r, "refused") == 0
	m.refused = m.refused || refused
	return refused
}

func (m *model) path() string { return rapid.SampledFrom(modelPaths).Draw(m.r, "path") }

// canMake reports whether there is a directory to make path in.
func (m *model) canMake(path string) bool { return m.state(parentOf(path)) == events.StateDir }

func (m *model) made(path string) {
	m.put[m.originOf(path)] = true
	if x := m.fs.files[path]; m.truth[x] == nil {
		m.truth[x] = &truth{}
	}
}

// actions are the calls that a session makes.
var actions = map[string]func(m *model){
	"read": func(m *model) {
		path := m.path()
		if s := m.state(path); s == events.StateDir {
			m.event(&events.Event{Op: events.OpStat, Syscall: "openat", Path: path, Flags: []string{"O_RDONLY", "O_DIRECTORY"}})
			m.wants(path, wantExistence)
			return
		} else if s == events.StateSymlink {
			return // ELOOP, with O_NOFOLLOW
		}
		m.read(path)
		m.wants(path, wantContent)
	},
	"stat": func(m *model) {
		path := m.path()
		m.stat(path)
		m.wants(path, wantTimes|wantExistence)
	},
	"access": func(m *model) {
		path := m.path()
		m.access(path)
		m.wants(path, wantExistence)
	},
	"list": func(m *model) {
		if path := m.path(); m.state(path) == events.StateDir {
			if rapid.Bool().Draw(m.r, "opened by name") {
				m.stat(path)
			}
			m.list(path)
			m.wants(path, wantNames|wantExistence)
		}
	},
	"write": func(m *model) {
		path := m.path()
		flags := rapid.SampledFrom([][]string{
			{"O_WRONLY", "O_CREAT", "O_TRUNC"},
			{"O_WRONLY", "O_CREAT", "O_APPEND"},
			{"O_RDWR"},
			{"O_WRONLY", "O_CREAT", "O_EXCL"},
			{"O_WRONLY", "O_TRUNC"},
			{"O_RDWR", "O_CREAT"},
		}).Draw(m.r, "flags")
		s := m.state(path)
		if s == events.StateSymlink {
			return
		}
		creates, exclusive, truncates := slices.Contains(flags, "O_CREAT"), slices.Contains(flags, "O_EXCL"), slices.Contains(flags, "O_TRUNC")
		ok := !m.fails() && s != events.StateDir && (s != events.StateAbsent || creates && m.canMake(path)) && (s != events.StateFile || !exclusive)
		if ok && s == events.StateFile && !truncates {
			m.wants(path, wantContent)
		}
		m.open(path, nil, flags...)
		if !ok {
			return
		}
		if s == events.StateFile && !truncates && rapid.Bool().Draw(m.r, "left alone") {
			return
		}
		m.writes++
		m.fs.write(path, fmt.Sprint("new ", m.writes))
		m.made(path)
		m.truth[m.fs.files[path]].dirty = true
	},
	"mkdir": func(m *model) {
		path := m.path()
		ok := m.canMake(path) && m.state(path) == events.StateAbsent && !m.fails()
		m.event(&events.Event{Op: events.OpCreate, Syscall: "mkdir", Path: path})
		if ok {
			m.fs.mkdir(path)
			m.made(path)
		} else if m.state(path) != events.StateAbsent {
			m.wants(path, wantExistence)
		}
	},
	"symlink": func(m *model) {
		path := m.path()
		ok := m.canMake(path) && m.state(path) == events.StateAbsent && !m.fails()
		m.event(&events.Event{Op: events.OpCreate, Syscall: "symlink", Path: path, Target: "new"})
		if ok {
			m.fs.symlink(path, "new")
			m.made(path)
		}
	},
	"unlink": func(m *model) {
		path := m.path()
		s := m.state(path)
		ok := (s == events.StateFile || s == events.StateSymlink) && !m.fails()
		m.event(&events.Event{Op: events.OpDelete, Syscall: "unlink", Path: path})
		if ok {
			m.fs.remove(path)
		}
	},
	"rmdir": func(m *model) {
		path := m.path()
		list, err := m.fs.readDir(path)
		ok := err == nil && m.state(path) == events.StateDir && len(list.names) == 0 && !m.fails()
		m.event(&events.Event{Op: events.OpDelete, Syscall: "rmdir", Path: path})
		if ok {
			m.fs.remove(path)
		}
	},
	"rename": func(m *model) { m.move() },
	"swap":   func(m *model) { m.move("RENAME_EXCHANGE") },
	"move":   func(m *model) { m.move("RENAME_NOREPLACE") },
	"link": func(m *model) {
		from, to := m.path(), m.path()
		if m.state(from) == events.StateDir {
			return
		}
		ok := m.state(from) != events.StateAbsent && m.state(to) == events.StateAbsent && m.canMake(to) && !m.fails()
		if ok {
			m.wants(from, wantContent|wantExistence)
		}
		m.event(&events.Event{Op: events.OpCreate, Syscall: "link", Path: from, To: to})
		if ok {
			m.put[m.originOf(to)] = true
			m.fs.link(from, to)
		}
	},
	"chmod": func(m *model) {
		path := m.path()
		s := m.state(path)
		if s == events.StateSymlink {
			return
		}
		ok := s != events.StateAbsent && !m.fails()
		m.event(&events.Event{Op: events.OpChattr, Syscall: "chmod", Path: path})
		if ok {
			m.fs.chmod(path, rapid.SampledFrom([]uint32{0o600, 0o700, 0o755}).Draw(m.r, "mode"))
		}
	},
	"": func(m *model) { // between the calls
		if rapid.Bool().Draw(m.r, "flush") {
			m.flush()
		}
	},
}

func (m *model) move(flags ...string) {
	from, to := m.path(), m.path()
	a, b := m.state(from), m.state(to)
	swap, keep := slices.Contains(flags, "RENAME_EXCHANGE"), slices.Contains(flags, "RENAME_NOREPLACE")
	below, _ := m.fs.readDir(to)
	ok := a != events.StateAbsent && m.canMake(to) && !isWithin(to, from) && (!swap || !isWithin(from, to)) && !m.fails()
	switch {
	case swap:
		ok = ok && b != events.StateAbsent
	case keep:
		ok = ok && b == events.StateAbsent
	case b == events.StateDir:
		ok = ok && a == events.StateDir && len(below.names) == 0
	case b != events.StateAbsent:
		ok = ok && a != events.StateDir
	}
	if x, y := m.fs.files[from], m.fs.files[to]; x != nil && x == y {
		return // two names of one file: rename(2) does nothing
	}
	if !ok && (a == events.StateDir || swap) {
		return // that it was refused may show too late for a complete manifest
	}
	if ok {
		m.carry(from)
		if swap {
			m.carry(to)
		}
	}
	m.event(&events.Event{Op: events.OpRename, Syscall: "renameat2", Path: from, To: to, Flags: flags})
	switch {
	case !ok:
	case swap:
		m.fs.exchange(from, to)
	default:
		m.put[m.originOf(to)] = true
		m.fs.rename(from, to)
	}
}

// carry notes that what is at path, and below, is to be found elsewhere.
func (m *model) carry(path string) {
	wanted := m.wanted
	m.wanted = m.carried
	for _, p := range slices.Sorted(maps.Keys(m.fs.files)) {
		if isWithin(p, path) {
			m.wants(p, wantContent|wantExistence)
		}
	}
	m.wanted = wanted
}

// arrive adds what was carried, and in the end is elsewhere as it was, to the inputs.
// Another name that a file had all the time is not elsewhere.
func (m *model) arrive() {
	for path, w := range m.carried {
		ino := m.initial[path].info.Ino
		for at, x := range m.fs.files {
			if at != path && x.info.Ino == ino && m.initial[at].info.Ino != ino && !m.truth[x].dirty {
				m.wanted[path] |= w
			}
		}
	}
}

// TestModel plays sessions drawn at random: the same ones each time, but for make
// stress.
func TestModel(t *testing.T) {
	fixed.Draws(t, 2000)
	names := slices.Sorted(maps.Keys(actions))
	rapid.Check(t, func(r *rapid.T) {
		m := newModel(t, r)
		log := m.act(names, 12)
		if problems := m.check(m.end()); len(problems) > 0 {
			m.fail(problems, log)
		}
	})
}

// TestModelForgets plays sessions that make and remove more than others, with a recorder
// that forgets temporary names as soon as it has more than a few. Where one that does not
// is right, it must be right, too.
func TestModelForgets(t *testing.T) {
	fixed.Draws(t, 2000)
	names := slices.Sorted(maps.Keys(actions))
	names = append(names, "temporary", "temporary", "temporary", "temporary")
	forgot := 0
	rapid.Check(t, func(r *rapid.T) {
		m := newModel(t, r)
		m.play.r.fold.forgotten.keep, m.sweeping = rapid.IntRange(0, 2).Draw(r, "kept"), true
		var out bytes.Buffer
		var err error
		m.twin, err = newRecorder(&out, Options{}, m.fs, m.fs.now)
		m.ok(err)
		defer m.twin.Close()
		m.ok(m.twin.Begin(&events.Header{Session: "s", Argv: []string{"cmd"}, Cwd: "/w"}))
		log := m.act(names, 40)
		got := m.end()
		m.ok(m.twin.End(&events.Trailer{}))
		twin, err := Decode(&out)
		m.ok(err)
		if !twin.Complete() || len(m.check(twin)) > 0 {
			return
		}
		if len(got.Forgotten) > 0 {
			forgot++
		}
		if problems := m.check(got); len(problems) > 0 {
			m.fail(problems, log)
		}
	})
	if forgot < 100 {
		t.Errorf("only %d sessions have forgotten anything", forgot)
	}
}

// act makes calls drawn at random, at most so many, and returns what they were.
func (m *model) act(names []string, most int) (log []string) {
	for range rapid.IntRange(1, most).Draw(m.r, "calls") {
		name := rapid.SampledFrom(names).Draw(m.r, "call")
		before := len(m.held)
		if action := actions[name]; action != nil {
			action(m)
		} else {
			m.temporary()
		}
		for _, e := range m.held[min(before, len(m.held)):] {
			log = append(log, fmt.Sprintf("%s %s(%s %s) %v %s %s", e.Op, e.Syscall, e.Path, e.To, e.Flags, e.State, e.ToState))
		}
	}
	m.fs.later()
	return log
}

// temporary makes something where nothing is, and removes it, renames it, or leaves that
// to others.
func (m *model) temporary() {
	free := slices.DeleteFunc(slices.Clone(modelPaths), func(path string) bool {
		return m.state(path) != events.StateAbsent || !m.canMake(path)
	})
	if len(free) == 0 {
		return
	}
	path := rapid.SampledFrom(free).Draw(m.r, "free")
	isDir := rapid.Bool().Draw(m.r, "a directory")
	if isDir {
		m.mkdir(path)
	} else {
		m.writes++
		m.write(path, fmt.Sprint("new ", m.writes))
	}
	m.made(path)
	m.truth[m.fs.files[path]].dirty = true
	if rapid.Bool().Draw(m.r, "flush") {
		m.flush()
	}
	switch to := rapid.SampledFrom(free).Draw(m.r, "to"); rapid.SampledFrom([]string{"remove", "rename", "fail", "leave"}).Draw(m.r, "then") {
	case "remove":
		if isDir {
			m.event(&events.Event{Op: events.OpDelete, Syscall: "rmdir", Path: path})
			m.fs.remove(path)
		} else {
			m.unlink(path)
		}
	case "rename":
		if to != path && m.canMake(to) && !isWithin(to, path) {
			m.put[m.originOf(to)] = true
			m.rename(path, to)
		}
	case "fail":
		m.refused = true
		m.event(&events.Event{Op: events.OpDelete, Syscall: map[bool]string{true: "rmdir", false: "unlink"}[isDir], Path: path})
	}
}

func (m *model) fail(problems, log []string) {
	m.r.Fatalf("%s\nbefore:\n%s\ncalls:\n%s\nafter:\n%s\nmanifest:\n%s", strings.Join(problems, "\n"), listing(m.initial),
		strings.Join(log, "\n"), listing(m.now()), &m.out)
}

func (m *model) now() map[string]fakeFile {
	all := map[string]fakeFile{}
	for path, x := range m.fs.files {
		all[path] = *x
	}
	return all
}

func listing(files map[string]fakeFile) string {
	var b strings.Builder
	for _, path := range slices.Sorted(maps.Keys(files)) {
		x := files[path]
		fmt.Fprintf(&b, "  %s %v %o %q\n", path, stateOf(&x.info, nil), permissions(x.info.Mode), x.content)
	}
	return b.String()
}
