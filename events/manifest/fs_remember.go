package manifest

import (
	"sync"

	"github.com/fstrace/fstrace/events"
)

// A rememberingFS looks at each path once. The methods may be called concurrently; two
// that ask for the same path at once may both look.
type rememberingFS struct {
	fileSystem
	identities, links, listings, sums sync.Map // by path
}

func newRememberingFS(fs fileSystem) *rememberingFS { return &rememberingFS{fileSystem: fs} }

// An answer is what a look at a path gave.
type answer[T any] struct {
	value T
	err   error
}

// once returns what is remembered of path, or what look returns.
func once[T any](m *sync.Map, path string, look func(string) (T, error)) (T, error) {
	if a, ok := m.Load(path); ok {
		a := a.(answer[T])
		return a.value, a.err
	}
	value, err := look(path)
	m.Store(path, answer[T]{value, err})
	return value, err
}

func (f *rememberingFS) identify(path string) (identity, error) {
	return once(&f.identities, path, f.fileSystem.identify)
}

func (f *rememberingFS) lstat(path string) (events.FileInfo, error) {
	id, err := f.identify(path)
	return id.FileInfo, err
}

func (f *rememberingFS) readlink(path string) (string, error) {
	return once(&f.links, path, f.fileSystem.readlink)
}

func (f *rememberingFS) readDir(path string) (dirList, error) {
	return once(&f.listings, path, f.fileSystem.readDir)
}

// hashed returns the hash of the file at path, or what hash returns.
func (f *rememberingFS) hashed(path string, hash func(string) ([32]byte, error)) ([32]byte, error) {
	return once(&f.sums, path, hash)
}
