package tracer

import (
	"os"
	"strings"

	"github.com/fstrace/fstrace/tracer/internal/procfs"
	slots "github.com/fstrace/fstrace/tracer/internal/recorder"
	"golang.org/x/sys/unix"
)

// A module is a file with sites, and those that calls have come from. ready is closed
// when it has been read.
type module struct {
	*slots.Module // nil if it cannot be used
	inode         uint64
	ready         chan struct{}
	sites         map[uint64]struct{} // offsets in the file
}

// moduleOf returns what is known of the file that a mapping is of, nil if it is none that
// is led to the recorder, or not read yet.
func (s *recordings) moduleOf(at *procfs.Mapping, sp *addressSpace) *module {
	if at.Access != "r-xp" || at.Inode == 0 || !isLibc(at.Path) {
		return nil
	}
	m := s.learn(at.Path)
	if eager != 0 {
		<-m.ready
	}
	select {
	case <-m.ready:
		if m.Module != nil && m.inode == at.Inode {
			return m
		}
	default:
		s.mu.Lock()
		sp.awaits = m.ready
		s.mu.Unlock()
	}
	return nil
}

// isLibc reports whether a file is glibc by its name.
func isLibc(path string) bool {
	name := path[strings.LastIndexByte(path, '/')+1:]
	return name == "libc.so.6" || strings.HasPrefix(name, "libc-2.")
}

// learn starts to read a module, if that has not begun. It is called as soon as one is
// opened.
func (s *recordings) learn(path string) *module {
	m := s.modules[path]
	if m == nil {
		m = &module{ready: make(chan struct{}), sites: make(map[uint64]struct{})}
		s.modules[path] = m
		go m.read(path)
	}
	return m
}

// read reads a module's file.
func (m *module) read(path string) {
	defer close(m.ready)
	f, err := os.Open(path)
	if err != nil {
		return
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return
	}
	if m.Module, err = slots.ReadModule(f); err == nil {
		m.inode = st.Ino
	}
}
