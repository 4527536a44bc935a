package tracer

import (
	"os"
	"strings"
	"time"

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
	awaited       bool
	sites         map[uint64]struct{} // offsets in the file
}

// patienceForModule is how long a call waits, once in a session, for a module to be read.
// A process that is about to make threads may not come again, and a file system that the
// session serves itself may not answer.
const patienceForModule = 5 * time.Millisecond

// await waits until the module has been read, or a moment.
func (m *module) await() {
	if m.awaited {
		return
	}
	m.awaited = eager == 0 // tests count on each process
	select {
	case <-m.ready:
		return
	default:
	}
	patience := time.NewTimer(patienceForModule + eager*time.Minute)
	defer patience.Stop()
	select {
	case <-m.ready:
	case <-patience.C:
	}
}

// moduleOf returns what is known of the file that a mapping is of, nil if it is none that
// is led to the recorder, or not read yet.
func (s *recordings) moduleOf(at *procfs.Mapping, sp *addressSpace) *module {
	if at.Access != "r-xp" || at.Inode == 0 || !isLibc(at.Path) {
		return nil
	}
	m := s.learn(at.Path)
	m.await()
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

// learn starts to read a module, if that has not begun.
func (s *recordings) learn(path string) *module {
	m := s.modules[path]
	if m == nil {
		m = &module{ready: make(chan struct{}), sites: make(map[uint64]struct{})}
		s.modules[path] = m
		go m.read(path)
	}
	return m
}

// read reads a module's file. Nothing is led to the recorder where that does not work.
func (m *module) read(path string) {
	defer close(m.ready)
	if slots.Try() != nil {
		return
	}
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
