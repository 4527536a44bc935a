package manifest

import (
	"strings"
	"sync"
	"time"

	"github.com/fstrace/fstrace/events"
)

// listings are the directories that the session lists and that the fold has not read yet.
// It does so some time later. Before the session itself changes what is in one, it is
// read: so what it then holds is what it held, or somebody else has changed it. The
// methods may be called concurrently.
type listings struct {
	fs   fileSystem
	now  func() time.Time
	owns func(path string) bool // whether the session made what is there

	mu   sync.Mutex
	dirs map[string]*reading
	// changed are the directories in which the session has made or removed names: what
	// was last seen of their times says nothing. If there are too many, it is nil, and
	// all are.
	changed map[string]struct{}
}

const mostChangedDirs = 1 << 16

// A reading is a directory that is read once. Only callers that want this directory wait
// while it is being read.
type reading struct {
	looked, once sync.Once
	before       events.FileInfo // of the directory as it was about to be listed; not always looked at
	dirList
	err error
}

func newListings(fs fileSystem, owns func(path string) bool, now func() time.Time) *listings {
	return &listings{fs: fs, owns: owns, now: now, dirs: make(map[string]*reading), changed: make(map[string]struct{})}
}

// guard gets what Recorder.Guard gets. isOldDir is set for a directory that the session
// did not make: if it is about to be removed, or renamed, what is in it decides. named is
// set if the call may make or remove the name.
func (l *listings) guard(op events.Op, path string, info *events.FileInfo, isOldDir, named bool) {
	switch {
	case op == events.OpList:
		switch r := l.reading(path, true); {
		case info.Known() && !l.isChanged(path) && !isRacy(info, l.now()), l.owns(path):
		default:
			r.looked.Do(func() { l.look(r, path) })
		}
		return
	case isOldDir && (op == events.OpDelete || op == events.OpCreate || op == events.OpRename):
		l.reading(path, true)
	}
	if named {
		l.change(parentOf(path))
	}
	for _, dir := range [...]string{path, parentOf(path)} { // rmdir, and names
		if r := l.reading(dir, false); r != nil {
			l.read(r, dir)
		}
	}
}

// look looks at a directory that is about to be listed. If it has changed a moment ago,
// its times would not tell of another change: it is read now.
func (l *listings) look(r *reading, dir string) {
	if info, err := l.fs.lstat(dir); err == nil {
		r.before = info
	}
	if isRacy(&r.before, l.now()) {
		l.read(r, dir)
	}
}

// change notes that the session may make or remove a name in dir.
func (l *listings) change(dir string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch _, ok := l.changed[dir]; {
	case ok, l.changed == nil:
	case len(l.changed) == mostChangedDirs:
		l.changed = nil
	default:
		l.changed[strings.Clone(dir)] = struct{}{}
	}
}

func (l *listings) isChanged(dir string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.changed[dir]
	return ok || l.changed == nil
}

// reading returns that of a directory. If there is none, it begins one, or returns nil.
func (l *listings) reading(dir string, begin bool) *reading {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.dirs[dir]
	if r == nil && begin {
		r = new(reading)
		l.dirs[dir] = r
	}
	return r
}

func (l *listings) read(r *reading, dir string) {
	r.once.Do(func() {
		r.dirList, r.err = l.fs.readDir(dir)
		sortNames(r.names)
	})
}

// take returns what is in a directory that the session listed, and forgets it: it is
// called of each event. It reads it only if it is wanted. A call that would change it
// meanwhile waits.
func (l *listings) take(dir string, wanted bool) (r *reading) {
	if wanted {
		r = l.reading(dir, true)
		r.looked.Do(func() {}) // who looks meanwhile is done then
		l.read(r, dir)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.dirs, dir)
	return r
}
