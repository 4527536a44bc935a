package ipc

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// A spool stores the events of a session for its readers, as lines of the JSONL record,
// in a file without a name. A reader has an offset. A slow reader does not delay the
// session.
//
//	tracer ── append ──▶ pending ── the writer ──▶ file ◀── read ── streams
//
// The writer is a goroutine. It writes what has been appended since its last write:
// single events when they are few, large blocks when they are many. append waits only if
// pending is full, because the disk is slow.
//
// If there is no space, the spool drops what all readers have read: it punches a hole at
// the beginning of the file, and a later reader from there gets an error. If that is not
// enough, because a reader does not read, the spool drops and counts all further events,
// even if there is space again later. So a record is never missing events in its middle.
type spool struct {
	file *os.File
	room *room

	mu      sync.Mutex
	pending []byte // whole lines, not yet in the file
	first   uint64 // seq of the first of them
	written int64  // bytes of whole lines in the file
	begin   int64  // bytes at the beginning that were given up
	held    int64  // bytes that are accounted for
	readers map[*reader]bool
	moved   chan struct{} // closed and replaced when a reader has read on
	marks   []mark
	last    uint64 // seq of the last event appended
	dropped uint64
	failed  error
	sealed  bool          // nothing more will be appended
	gone    bool          // closed: not kept any more
	changed chan struct{} // closed and replaced when written or sealed changes
	space   sync.Cond
	work    sync.Cond
	done    chan struct{} // the writer has ended
}

// A mark says where an event begins in the file.
type mark struct {
	seq    uint64
	offset int64
}

const (
	spoolPending = 256 << 10 // bytes that may wait for the writer
	spoolStride  = 64 << 10  // bytes between two marks
	spoolRead    = 64 << 10  // bytes of one read
)

// newSpool makes a spool in a directory.
func newSpool(dir string, r *room) (*spool, error) {
	file, err := unnamedFile(dir)
	if err != nil {
		return nil, fmt.Errorf("open spool in %s: %w", dir, err)
	}
	s := &spool{
		file: file, room: r, readers: make(map[*reader]bool),
		moved: make(chan struct{}), changed: make(chan struct{}), done: make(chan struct{}),
	}
	s.space.L, s.work.L = &s.mu, &s.mu
	go s.write()
	return s, nil
}

// unnamedFile opens a file that has no name, or has none any more where the file
// system knows of no such files.
func unnamedFile(dir string) (*os.File, error) {
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err == nil {
		return os.NewFile(uintptr(fd), "spool"), nil
	}
	f, err := os.CreateTemp(dir, "fstrace-spool-*")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// append adds the line of an event.
func (s *spool) append(seq uint64, line []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.pending) >= spoolPending && s.failed == nil {
		s.space.Wait()
	}
	s.last = seq
	if s.failed != nil {
		s.dropped++
		return
	}
	if len(s.pending) == 0 {
		s.first = seq
		s.work.Signal()
	}
	s.pending = append(s.pending, line...)
}

// seal ends the appending, and waits for what was appended to be in the file. It
// returns how many events were dropped, and why.
func (s *spool) seal() (dropped uint64, err error) {
	s.mu.Lock()
	s.sealed = true
	s.work.Signal()
	s.mu.Unlock()
	<-s.done
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notify()
	return s.dropped, s.failed
}

// notify wakes the readers. The caller holds mu.
func (s *spool) notify() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// write is the writer.
func (s *spool) write() {
	defer close(s.done)
	var chunk []byte
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		for len(s.pending) == 0 && !s.sealed {
			s.work.Wait()
		}
		if len(s.pending) == 0 {
			return
		}
		chunk, s.pending = s.pending, chunk[:0]
		first, at := s.first, s.written
		s.space.Broadcast()
		s.mu.Unlock()
		err := s.put(chunk, at)
		s.mu.Lock()
		if err != nil {
			s.failed = err
			s.dropped += countLines(chunk) + countLines(s.pending)
			s.pending = nil
			s.space.Broadcast()
			continue
		}
		if n := len(s.marks); n == 0 || at-s.marks[n-1].offset >= spoolStride {
			s.marks = append(s.marks, mark{first, at})
		}
		s.written += int64(len(chunk))
		s.notify()
		if cap(chunk) > 2*spoolPending {
			chunk = nil // one event was huge
		}
	}
}

func countLines(b []byte) uint64 { return uint64(bytes.Count(b, []byte{'\n'})) }

// put writes b to the file, and makes room for it if need be.
func (s *spool) put(b []byte, at int64) error {
	n := int64(len(b))
	for !s.account(n) {
		if !s.makeRoom() {
			return fmt.Errorf("the limit of %d bytes for all sessions is reached", s.room.Limit)
		}
	}
	for {
		_, err := s.file.WriteAt(b, at)
		if err == nil {
			return nil
		}
		full := errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT)
		if full && s.makeRoom() {
			continue
		}
		_ = s.file.Truncate(at)
		s.mu.Lock()
		s.held -= n
		s.mu.Unlock()
		s.room.Give(n)
		return cause(err)
	}
}

// account accounts for n bytes more. It reports whether there is room for them.
func (s *spool) account(n int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.room.Take(n) {
		if s.held+n > s.room.floor {
			return false
		}
		s.room.Give(-n) // others have it all, who do not read
	}
	s.held += n
	return true
}

// makeRoom frees space. It tries, in this order: retained sessions that no client
// follows; what all readers have read of running sessions; what the readers of this
// session read within readerPatience; retained sessions that a client follows without
// reading.
func (s *spool) makeRoom() bool {
	return s.room.evict() || s.awaitReaders() || s.room.evictFollowed != nil && s.room.evictFollowed()
}

// putManifest stores a document behind the events. seal must have been called. The
// bytes are not the readers'.
func (s *spool) putManifest(doc []byte) (at int64, err error) {
	s.mu.Lock()
	at = s.written
	s.mu.Unlock()
	return at, s.put(doc, at)
}

// state returns what there is to read: the bytes in the file, whether there will be no
// more, and a channel that is closed when there is something new.
func (s *spool) state() (written int64, sealed bool, changed <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	finished := false
	select {
	case <-s.done:
		finished = true
	default:
	}
	return s.written, finished, s.changed
}

// count returns the seq of the last event and the bytes in the file.
func (s *spool) count() (last uint64, written int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last, s.written
}

// size returns how many bytes of the disk the file takes, about.
func (s *spool) size() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held
}

// close closes the file. Readers then get an error.
func (s *spool) close() {
	s.mu.Lock()
	if s.gone {
		s.mu.Unlock()
		return
	}
	s.gone = true
	held := s.held
	s.mu.Unlock()
	_ = s.file.Close()
	s.room.Give(held)
}
