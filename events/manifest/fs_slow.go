package manifest

import (
	"errors"
	"sync"
	"time"

	"github.com/fstrace/fstrace/events"
)

// Results of looking at a file system that does not answer: of the look that is given up,
// and of those that are not made as long as that one lasts.
var (
	errUnanswered = errors.New("the file system does not answer")
	errStuck      = errors.New("the file system still does not answer")
)

// lookPatience is how long a file system may take to answer.
const lookPatience = 2 * time.Second

// A slowFS looks at files as the fileSystem below it does, but waits for no file system
// without limit that is served from inside the session: its server may never answer, and
// is not even there any more, perhaps, when the session is over. Each look at such a file
// system is a goroutine of its own. A lookup that takes longer than lookPatience is given
// up, and as long as it lasts all others are, at once.
type slowFS struct {
	fileSystem
	// served reports whether a path is on such a file system; nil for nowhere. It must be
	// safe for concurrent use.
	served func(path string) bool
	wait   time.Duration

	mu    sync.Mutex
	stuck int
	first string // the path that was given up first
}

// isServed reports whether path must not be waited for.
func (s *slowFS) isServed(path string) bool { return s.served != nil && s.served(path) }

// gap returns why the manifest may miss something, nil if all was answered.
func (s *slowFS) gap() []events.Incomplete {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.first == "" {
		return nil
	}
	return []events.Incomplete{{Reason: events.ReasonUnanswered, Detail: s.first + ": " + errUnanswered.Error()}}
}

// within does a look at path, or gives it up.
func within[T any](s *slowFS, path string, look func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	var none T
	s.mu.Lock()
	if s.stuck > 0 {
		s.mu.Unlock()
		return none, errStuck
	}
	s.mu.Unlock()
	done := make(chan result, 1)
	go func() {
		value, err := look()
		done <- result{value, err}
	}()
	// In steps: the time does not count in which this process was stopped.
	const steps = 20
	ticker := time.NewTicker(max(s.wait/steps, 1))
	defer ticker.Stop()
	for range steps {
		select {
		case r := <-done:
			return r.value, r.err
		case <-ticker.C:
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stuck++
	if s.first == "" {
		s.first = path
	}
	go func() {
		r := <-done
		if f, ok := any(r.value).(file); ok && r.err == nil {
			f.Close()
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.stuck--
	}()
	return none, errUnanswered
}

func (s *slowFS) lstat(path string) (events.FileInfo, error) {
	if !s.isServed(path) {
		return s.fileSystem.lstat(path)
	}
	return within(s, path, func() (events.FileInfo, error) { return s.fileSystem.lstat(path) })
}

func (s *slowFS) identify(path string) (identity, error) {
	if !s.isServed(path) {
		return s.fileSystem.identify(path)
	}
	return within(s, path, func() (identity, error) { return s.fileSystem.identify(path) })
}

func (s *slowFS) readlink(path string) (string, error) {
	if !s.isServed(path) {
		return s.fileSystem.readlink(path)
	}
	return within(s, path, func() (string, error) { return s.fileSystem.readlink(path) })
}

func (s *slowFS) readDir(path string) (dirList, error) {
	if !s.isServed(path) {
		return s.fileSystem.readDir(path)
	}
	return within(s, path, func() (dirList, error) { return s.fileSystem.readDir(path) })
}

func (s *slowFS) open(path string) (file, error) {
	if !s.isServed(path) {
		return s.fileSystem.open(path)
	}
	f, err := within(s, path, func() (file, error) { return s.fileSystem.open(path) })
	if err != nil {
		return nil, err
	}
	return &slowFile{file: f, fs: s, path: path}, nil
}

// A slowFile is a file that must not be waited for either.
type slowFile struct {
	file
	fs      *slowFS
	path    string
	buf     []byte        // a read that is given up may still write to it
	givenUp chan struct{} // closed when that read is over; nil if there is none
}

func (f *slowFile) Read(b []byte) (int, error) {
	if f.givenUp != nil {
		return 0, errStuck
	}
	if len(f.buf) < len(b) {
		f.buf = make([]byte, len(b))
	}
	over := make(chan struct{})
	n, err := within(f.fs, f.path, func() (int, error) {
		defer close(over)
		return f.file.Read(f.buf[:len(b)])
	})
	if errors.Is(err, errUnanswered) {
		f.givenUp = over
		return 0, err
	}
	return copy(b, f.buf[:n]), err
}

func (f *slowFile) stat() (events.FileInfo, error) {
	return within(f.fs, f.path, func() (events.FileInfo, error) { return f.file.stat() })
}

// Close waits for nobody: the server is asked once more.
func (f *slowFile) Close() error {
	go func() {
		if f.givenUp != nil {
			<-f.givenUp
		}
		f.file.Close()
	}()
	return nil
}
