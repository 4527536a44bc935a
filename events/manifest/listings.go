package manifest

import (
	"sync"

	"github.com/fstrace/fstrace/events"
)

// listings are the directories that the session lists and that the fold has not read yet.
// It does so some time later. Before the session itself changes what is in one, it is
// read: so what it then holds is what it held, or somebody else has changed it. The
// methods may be called concurrently.
type listings struct {
	fs fileSystem

	mu   sync.Mutex
	dirs map[string]*reading
}

// A reading is a directory that is read once. Only callers that want this directory wait
// while it is being read.
type reading struct {
	once sync.Once
	dirList
	err error
}

func newListings(fs fileSystem) *listings {
	return &listings{fs: fs, dirs: make(map[string]*reading)}
}

// guard gets what Recorder.Guard gets. isOldDir is set for a directory that the session
// did not make: if it is about to be removed, what is in it decides.
func (l *listings) guard(op events.Op, path string, isOldDir bool) {
	switch {
	case op == events.OpList:
		l.reading(path, true)
		return
	case isOldDir && (op == events.OpDelete || op == events.OpCreate):
		l.reading(path, true)
	}
	for _, dir := range [...]string{path, parentOf(path)} { // rmdir, and names
		if r := l.reading(dir, false); r != nil {
			l.read(r, dir)
		}
	}
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
		l.read(r, dir)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.dirs, dir)
	return r
}
