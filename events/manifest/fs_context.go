package manifest

import (
	"context"

	"github.com/fstrace/fstrace/events"
)

// A contextFS is a file system of which nothing more is looked at once its context is
// done.
type contextFS struct {
	fileSystem
	ctx context.Context
}

func (f contextFS) lstat(path string) (info events.FileInfo, err error) {
	if err := f.ctx.Err(); err != nil {
		return info, err
	}
	return f.fileSystem.lstat(path)
}

func (f contextFS) identify(path string) (id identity, err error) {
	if err := f.ctx.Err(); err != nil {
		return id, err
	}
	return f.fileSystem.identify(path)
}

func (f contextFS) readlink(path string) (string, error) {
	if err := f.ctx.Err(); err != nil {
		return "", err
	}
	return f.fileSystem.readlink(path)
}

func (f contextFS) readDir(path string) (dirList, error) {
	if err := f.ctx.Err(); err != nil {
		return dirList{}, err
	}
	return f.fileSystem.readDir(path)
}

func (f contextFS) open(path string) (file, error) {
	if err := f.ctx.Err(); err != nil {
		return nil, err
	}
	x, err := f.fileSystem.open(path)
	if err != nil {
		return nil, err
	}
	return contextFile{x, f.ctx}, nil
}

// A contextFile stops being read once its context is done.
type contextFile struct {
	file
	ctx context.Context
}

func (f contextFile) Read(b []byte) (int, error) {
	if err := f.ctx.Err(); err != nil {
		return 0, err
	}
	return f.file.Read(b)
}
