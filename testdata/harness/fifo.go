package harness

import (
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A FIFO is a named pipe by which a test and a program wait for each other.
type FIFO string

func NewFIFO(t testing.TB, dir, name string) FIFO {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return FIFO(path)
}

// A Visit to a FIFO: the end that waits for somebody to open and close it.
type Visit struct {
	t    testing.TB
	name string
	fd   int
}

// ExpectVisitor opens a FIFO such that awaitVisitor can tell that somebody has
// opened it for writing and closed it again.
func (f FIFO) ExpectVisitor(t testing.TB) *Visit {
	t.Helper()
	fd, err := unix.Open(string(f), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return &Visit{t, string(f), fd}
}

// Await waits for the visitor. A FIFO that nobody has opened yet does not say
// that it has hung up: fifo(7), Linux.
func (v *Visit) Await() {
	v.t.Helper()
	fds := []unix.PollFd{{Fd: int32(v.fd)}}
	deadline := time.Now().Add(Patience)
	for {
		n, err := unix.Poll(fds, max(0, int(time.Until(deadline).Milliseconds())))
		if err == unix.EINTR {
			continue
		}
		if n != 1 {
			v.t.Fatalf("nobody came to %s in %v: %v", v.name, Patience, err)
		}
		return
	}
}

// Release opens and closes a FIFO for writing as soon as somebody reads it.
// That somebody may have ended instead, which over tells.
func (f FIFO) Release(t testing.TB, over func() bool) {
	t.Helper()
	Eventually(t, "somebody reads "+string(f)+", or has ended", func() bool {
		fd, err := unix.Open(string(f), unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err != nil {
			return over()
		}
		unix.Close(fd)
		return true
	})
}
