package manifest

import (
	"errors"

	"github.com/fstrace/fstrace/events"
)

// ErrCancelled says that a check was cancelled (CheckOptions.Cancel).
var ErrCancelled = errors.New("the check was cancelled")

// A cancellable file system fails once it is cancelled: a check that looks at it ends
// soon then, also in the middle of a large file.
type cancellable struct {
	fileSystem
	cancel <-chan struct{}
}

func isCancelled(cancel <-chan struct{}) bool {
	select {
	case <-cancel:
		return true
	default:
		return false
	}
}

func (c cancellable) lstat(path string) (events.FileInfo, error) {
	if isCancelled(c.cancel) {
		return events.FileInfo{}, ErrCancelled
	}
	return c.fileSystem.lstat(path)
}

func (c cancellable) readlink(path string) (string, error) {
	if isCancelled(c.cancel) {
		return "", ErrCancelled
	}
	return c.fileSystem.readlink(path)
}

func (c cancellable) readDir(path string) ([]string, error) {
	if isCancelled(c.cancel) {
		return nil, ErrCancelled
	}
	return c.fileSystem.readDir(path)
}

func (c cancellable) open(path string) (file, error) {
	if isCancelled(c.cancel) {
		return nil, ErrCancelled
	}
	f, err := c.fileSystem.open(path)
	if err != nil {
		return nil, err
	}
	return cancellableFile{f, c}, nil
}

type cancellableFile struct {
	file
	fs cancellable
}

func (f cancellableFile) Read(b []byte) (int, error) {
	if isCancelled(f.fs.cancel) {
		return 0, ErrCancelled
	}
	return f.file.Read(b)
}
