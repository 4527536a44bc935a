package tracer

import (
	"cmp"
	"errors"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// streams are what Start opens for a command: /dev/null, and pipes for readers and
// writers that are no files. The zero value is ready for use.
type streams struct {
	// theirs are the command's ends. This process closes them when the command has them.
	theirs []*os.File
	// ours are this process's ends of the pipes.
	ours []*os.File
	// copies copy from and to the pipes, each on a goroutine of its own.
	copies []func() error

	group sync.WaitGroup
	mu    sync.Mutex
	err   error // the first error of a copy
}

// open returns the files for the command's standard streams, nil for those that are not
// given.
func (s *streams) open(stdin io.Reader, stdout, stderr io.Writer) ([]*os.File, error) {
	files := make([]*os.File, 3)
	var err error
	if files[0], err = s.reader(stdin); err != nil {
		return nil, err
	}
	if files[1], err = s.writer(stdout); err != nil {
		return nil, err
	}
	if stderr != nil && same(stderr, stdout) {
		files[2] = files[1]
	} else {
		files[2], err = s.writer(stderr)
	}
	return files, err
}

// same reports whether two writers are the same. Types that cannot be compared are not.
func same(a, b io.Writer) bool {
	defer func() { _ = recover() }()
	return a == b
}

func (s *streams) reader(r io.Reader) (*os.File, error) {
	if f, ok := r.(*os.File); ok || r == nil {
		return f, nil
	}
	theirs, ours, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	s.add(theirs, ours, func() error {
		_, err := io.Copy(ours, r)
		if errors.Is(err, unix.EPIPE) {
			return nil // a command need not read all of its input
		}
		return err
	})
	return theirs, nil
}

func (s *streams) writer(w io.Writer) (*os.File, error) {
	if f, ok := w.(*os.File); ok || w == nil {
		return f, nil
	}
	ours, theirs, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	s.add(theirs, ours, func() error {
		_, err := io.Copy(w, ours)
		return err
	})
	return theirs, nil
}

// add notes a pipe and what copies through it.
func (s *streams) add(theirs, ours *os.File, copy func() error) {
	s.theirs = append(s.theirs, theirs)
	s.ours = append(s.ours, ours)
	s.copies = append(s.copies, func() error {
		err := copy()
		ours.Close() // the end of its input, for a command that reads
		return err
	})
}

// openNull opens /dev/null for the command.
func (s *streams) openNull() (*os.File, error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err == nil {
		s.theirs = append(s.theirs, null)
	}
	return null, err
}

// started closes the command's ends, which it has got or will not get, and begins to
// copy if there is a command.
func (s *streams) started(ok bool) {
	closeAll(s.theirs)
	s.theirs = nil
	if !ok {
		closeAll(s.ours)
		s.copies = nil
		return
	}
	for _, copy := range s.copies {
		s.group.Go(func() {
			if err := copy(); err != nil {
				s.mu.Lock()
				s.err = cmp.Or(s.err, err)
				s.mu.Unlock()
			}
		})
	}
}

// wait waits until everything is copied, but no longer than the delay if that is not 0.
// It returns the first error of a copy.
func (s *streams) wait(delay time.Duration) error {
	done := make(chan struct{})
	go func() { s.group.Wait(); close(done) }()
	var timeout <-chan time.Time
	if delay > 0 {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		timeout = timer.C
	}
	select {
	case <-done:
	case <-timeout:
		closeAll(s.ours)
		return exec.ErrWaitDelay
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}
