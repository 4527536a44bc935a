package manifest

import (
	"sync"

	"github.com/fstrace/fstrace/events"
)

// listings are the directories that the session lists and that the fold has not read yet.
// It does so some time later. Before the session itself changes what is in one, it is
// read: so what it then holds is what it held, or somebody else has changed it. The methods
// may be called concurrently.
type listings struct {
	fs fileSystem

	mu   sync.Mutex
	dirs map[string]*reading
}

// A reading is a directory that is read once.
type reading struct {
	done  bool
	info  events.FileInfo // before
	err   error
	names []string
}

func newListings(fs fileSystem) *listings {
	return &listings{fs: fs, dirs: make(map[string]*reading)}
}

// guard gets what Recorder.Guard gets.
func (l *listings) guard(op events.Op, path string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if op == events.OpList {
		if l.dirs[path] == nil {
			l.dirs[path] = new(reading)
		}
		return
	}
	if len(l.dirs) == 0 {
		return
	}
	for _, dir := range [...]string{path, parentOf(path)} { // rmdir, and names
		if r := l.dirs[dir]; r != nil {
			l.read(r, dir)
		}
	}
}

func (l *listings) read(r *reading, dir string) {
	if r.done {
		return
	}
	r.done = true
	if r.info, r.err = l.fs.lstat(dir); stateOf(&r.info, r.err) == events.StateDir {
		r.names, r.err = l.fs.readDir(dir)
	}
}

// take returns what is in a directory that the session listed, and forgets it: it is called
// of each event. It reads it only if it is wanted.
func (l *listings) take(dir string, wanted bool) *reading {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.dirs[dir]
	delete(l.dirs, dir)
	if !wanted {
		return nil
	}
	if r == nil {
		r = new(reading)
	}
	l.read(r, dir)
	return r
}
