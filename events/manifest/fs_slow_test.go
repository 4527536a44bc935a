package manifest

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/fstrace/fstrace/events"
)

// A mutedFS is a file system whose answers can be held back.
type mutedFS struct {
	fileSystem
	muted  chan struct{} // closed when there are answers
	closed chan struct{} // closed with a file
}

func (m *mutedFS) lstat(path string) (events.FileInfo, error) {
	<-m.muted
	return m.fileSystem.lstat(path)
}

func (m *mutedFS) open(path string) (file, error) {
	f, err := m.fileSystem.open(path)
	return &mutedFile{f, m}, err
}

type mutedFile struct {
	file
	fs *mutedFS
}

func (f *mutedFile) Read(b []byte) (int, error) {
	<-f.fs.muted
	return f.file.Read(b)
}

func (f *mutedFile) Close() error {
	defer close(f.fs.closed)
	return f.file.Close()
}

func newSlowFS(wait time.Duration) (*slowFS, *mutedFS, *fakeFS) {
	disk := newFakeFS()
	disk.write("/served/f", "content")
	disk.write("/f", "content")
	muted := &mutedFS{fileSystem: disk, muted: make(chan struct{}), closed: make(chan struct{})}
	return &slowFS{
		fileSystem: muted, wait: wait,
		served: func(path string) bool { return isWithin(path, "/served") },
	}, muted, disk
}

// TestSlowFS: a file system that does not answer is given up, and is asked again when it
// has answered.
func TestSlowFS(t *testing.T) {
	s, muted, _ := newSlowFS(time.Millisecond)
	if _, err := s.lstat("/served/f"); !errors.Is(err, errUnanswered) {
		t.Errorf("no answer: %v", err)
	}
	if _, err := s.lstat("/served/g"); !errors.Is(err, errStuck) {
		t.Errorf("no answer yet: %v", err)
	}
	gap := s.gap()
	if len(gap) != 1 || gap[0].Reason != events.ReasonUnanswered || gap[0].Detail != "/served/f: the file system does not answer" {
		t.Errorf("incomplete: %+v", gap)
	}
	close(muted.muted)
	s.wait = time.Hour
	for deadline := time.Now().Add(10 * time.Second); ; {
		info, err := s.lstat("/served/f")
		if err == nil && info.Known() {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("answered: %v", err)
		}
	}
	if _, err := s.lstat("/f"); err != nil {
		t.Errorf("on another file system: %v", err)
	}
}

// TestSlowFSRead: a read that is given up lasts, and so does the file.
func TestSlowFSRead(t *testing.T) {
	s, muted, _ := newSlowFS(time.Hour)
	f, err := s.open("/served/f")
	if err != nil {
		t.Fatal(err)
	}
	s.wait = time.Millisecond
	buf := make([]byte, 100)
	for _, want := range []error{errUnanswered, errStuck} {
		if n, err := f.Read(buf); n != 0 || !errors.Is(err, want) {
			t.Errorf("%d bytes, %v; want %v", n, err, want)
		}
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	select {
	case <-muted.closed:
		t.Error("closed while it is read")
	default:
	}
	close(muted.muted)
	<-muted.closed
}

// TestSlowFSWhole: of a file system that answers, files are read as they are.
func TestSlowFSWhole(t *testing.T) {
	s, muted, _ := newSlowFS(time.Hour)
	close(muted.muted)
	f, err := s.open("/served/f")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(f); string(got) != "content" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if info, err := f.stat(); err != nil || info.Size != 7 {
		t.Errorf("%+v, %v", info, err)
	}
	f.Close()
	<-muted.closed
}
