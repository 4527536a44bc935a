package procfs

import (
	"github.com/fstrace/fstrace/tracer/internal/sys"
	"golang.org/x/sys/unix"
)

// An FDDirs holds the directories /proc/TID/fd of the threads that have lately used
// directory descriptors, opened: to walk there from / is a fifth of what it takes the
// kernel to read one of the links in it.
//
// A handle stands for its thread, not for the number: when another thread has got
// that, nothing is found by it. It is for one goroutine.
type FDDirs [8]fdDir

type fdDir struct {
	tid  int
	uses int // by this tid, one after the other
	fd   int // if uses is usesBeforeOpen or more; -1 if it could not be opened
}

// usesBeforeOpen is how many descriptors of a thread are read before its directory is
// opened: most programs have few.
const usesBeforeOpen = 4

// of returns a thread's directory, or -1 if it is not open.
func (d *FDDirs) of(tid int, p *Reader) int {
	s := &d[tid%len(d)]
	if s.tid != tid {
		s.close()
		*s = fdDir{tid: tid}
	}
	if s.uses++; s.uses < usesBeforeOpen {
		return -1
	}
	if s.uses == usesBeforeOpen {
		fd, errno := sys.Openat(unix.AT_FDCWD, p.EntryName(tid, "fd"), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC)
		s.fd = fd
		if errno != 0 {
			s.fd = -1
		}
	}
	return s.fd
}

// forget closes a thread's directory.
func (d *FDDirs) forget(tid int) {
	if s := &d[tid%len(d)]; s.tid == tid {
		s.close()
		*s = fdDir{}
	}
}

// Close closes all of them: they keep /proc from being unmounted.
func (d *FDDirs) Close() {
	for i := range d {
		d[i].close()
		d[i] = fdDir{}
	}
}

func (s *fdDir) close() {
	if s.uses >= usesBeforeOpen && s.fd >= 0 {
		unix.Close(s.fd)
	}
}
