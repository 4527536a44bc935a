package cache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"
)

// A Disk is a Store in a directory, in the layout of Bazel's --disk_cache: results are in
// ac/ and blobs in cas/, by the first two digits of their hash. The time of a file is
// that of its last use ([Disk.Collect]).
//
// A file is complete as soon as it has its name, so any number of processes may use the
// directory at once, also on a network file system. A file that a crash of the machine
// left empty or short counts as missing.
type Disk struct{ dir string }

// Directories below that of a Disk.
const (
	resultDir = "ac"
	blobDir   = "cas"
	tempDir   = "tmp"
)

// OpenDisk opens the store in dir, and creates it if it does not exist.
func OpenDisk(dir string) (*Disk, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	for _, sub := range []string{resultDir, blobDir, tempDir} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o777); err != nil {
			return nil, fmt.Errorf("open cache: %w", err)
		}
	}
	return &Disk{dir}, nil
}

// Dir returns the directory.
func (s *Disk) Dir() string { return s.dir }

func (s *Disk) path(kind, hash string) string { return filepath.Join(s.dir, kind, hash[:2], hash) }

// use opens a file and sets its time, so that it is not the next to be removed.
func (s *Disk) use(kind string, d Digest) (*os.File, error) {
	name := s.path(kind, d.Hash)
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", d, ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	_ = os.Chtimes(name, time.Time{}, time.Now()) // it may be another user's
	return f, nil
}

// Result implements [Store].
func (s *Disk) Result(_ context.Context, action Digest) (*repb.ActionResult, error) {
	f, err := s.use(resultDir, action)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		return nil, err
	}
	r := &repb.ActionResult{}
	if err := proto.Unmarshal(b, r); err != nil || len(b) == 0 {
		_ = os.Remove(f.Name()) // what a crash left
		return nil, fmt.Errorf("%s: damaged: %w", f.Name(), ErrNotFound)
	}
	return r, nil
}

// PutResult implements [Store].
func (s *Disk) PutResult(_ context.Context, action Digest, r *repb.ActionResult) error {
	b, err := encode(r)
	if err != nil {
		return err
	}
	return s.write(s.path(resultDir, action.Hash), bytes.NewReader(b))
}

// Missing implements [Store].
func (s *Disk) Missing(_ context.Context, list []Digest) (missing []Digest, err error) {
	for _, d := range list {
		name := s.path(blobDir, d.Hash)
		info, err := os.Stat(name)
		switch {
		case errors.Is(err, fs.ErrNotExist), err == nil && info.Size() != d.Size:
			missing = append(missing, d)
		case err != nil:
			return nil, err
		}
	}
	return missing, nil
}

// Blobs implements [Store].
func (s *Disk) Blobs(_ context.Context, list []Digest, put func(Digest, io.Reader) error) error {
	for _, d := range list {
		f, err := s.open(d)
		if err != nil {
			return err
		}
		err = put(d, f)
		_ = f.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// open opens a blob, or returns an error that wraps ErrNotFound.
func (s *Disk) open(d Digest) (*os.File, error) { return s.use(blobDir, d) }

// drop removes a blob that is not what its name says.
func (s *Disk) drop(d Digest) { _ = os.Remove(s.path(blobDir, d.Hash)) }

// PutBlobs implements [Store]. It returns an error if what it reads is not the blob.
func (s *Disk) PutBlobs(_ context.Context, list []Blob) error {
	for _, b := range list {
		r, err := b.Open()
		if err != nil {
			return err
		}
		err = s.putBlob(b.Digest, r)
		_ = r.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Disk) putBlob(d Digest, r io.Reader) error {
	name := s.path(blobDir, d.Hash)
	if info, err := os.Stat(name); err == nil && info.Size() == d.Size {
		_ = os.Chtimes(name, time.Time{}, time.Now())
		return nil
	}
	return s.write(name, verify(r, d))
}

// write makes a file of what it reads, all of it or nothing.
func (s *Disk) write(name string, r io.Reader) (err error) {
	f, err := os.CreateTemp(filepath.Join(s.dir, tempDir), "new-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	if _, err = io.Copy(f, r); err != nil {
		return err
	}
	// Readable for all whom the umask lets read: temporary files are their owner's alone.
	if err = f.Chmod(0o666 &^ os.FileMode(umask())); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	err = os.Rename(f.Name(), name)
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.Mkdir(filepath.Dir(name), 0o777); err == nil || errors.Is(err, fs.ErrExist) {
			err = os.Rename(f.Name(), name)
		}
	}
	return err
}

// umask returns the file mode creation mask without changing it for a moment:
// proc_pid_status(5), Linux 4.7.
func umask() int {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0o077
	}
	_, rest, ok := bytes.Cut(b, []byte("\nUmask:\t"))
	mask := 0
	if _, err := fmt.Sscanf(string(rest[:min(len(rest), 5)]), "%o", &mask); !ok || err != nil {
		return 0o077
	}
	return mask
}

// lock waits until no other process changes the lists and counters of the store.
func (s *Disk) lock() (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(s.dir, "lock"), os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return nil, err
	}
	for {
		if err = unix.Flock(int(f.Fd()), unix.LOCK_EX); err != unix.EINTR {
			break
		}
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	return func() { _ = f.Close() }, nil
}
