package ipc

import (
	"time"

	"golang.org/x/sys/unix"
)

// A reader is one who reads a spool while it is written: what he has not read is not
// given up. mu of the spool guards it.
type reader struct {
	spool  *spool
	offset int64     // what is before has been read
	moved  time.Time // when that was
}

// readerPatience is how long the writer waits for readers to read on, where there is no
// space. A subscriber that reads nothing for so long does not keep up.
const readerPatience = time.Second

// follow returns a reader of the events from a seq on, and where they begin.
func (s *spool) follow(seq uint64) (*reader, int64, error) {
	r := &reader{spool: s, moved: time.Now()}
	s.mu.Lock()
	r.offset = s.begin
	s.readers[r] = true // nothing is given up from now on
	s.mu.Unlock()
	offset, err := s.seek(seq)
	if err != nil {
		r.close()
		return nil, 0, err
	}
	r.advance(offset)
	return r, offset, nil
}

// advance notes how far the reader has read.
func (r *reader) advance(offset int64) {
	s := r.spool
	s.mu.Lock()
	defer s.mu.Unlock()
	r.offset, r.moved = offset, time.Now()
	s.noteMove()
}

func (r *reader) close() {
	s := r.spool
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.readers, r)
	s.noteMove()
}

// stalled reports whether no subscriber has read for some time.
func (s *spool) stalled() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for r := range s.readers {
		if time.Since(r.moved) < readerPatience {
			return false
		}
	}
	return true
}

// noteMove wakes a writer that waits for readers. The caller holds mu.
func (s *spool) noteMove() {
	close(s.moved)
	s.moved = make(chan struct{})
}

// awaitReaders waits for a reader who has something left to read, and has it. It reports
// whether what was read could be given up.
func (s *spool) awaitReaders() bool {
	over := time.NewTimer(readerPatience)
	defer over.Stop()
	for {
		s.mu.Lock()
		moved, waits := s.moved, len(s.readers) > 0
		s.mu.Unlock()
		if s.trim() {
			return true
		}
		if !waits {
			return false
		}
		select {
		case <-moved:
		case <-over.C:
			return false
		}
	}
}

// trim gives up what every reader has read; all that there is, if there is none. It
// reports whether it has given up anything. It is for sessions that run: one that has
// ended is kept as a whole, or not at all.
func (s *spool) trim() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone {
		return false
	}
	end := s.written
	for r := range s.readers {
		end = min(end, r.offset)
	}
	// Whole blocks have to be freed to make room.
	const worth = spoolStride
	if end-s.begin < worth && end < s.written || end == s.begin {
		return false
	}
	const punch = unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE
	if err := unix.Fallocate(int(s.file.Fd()), punch, 0, end); err != nil {
		return false // not on this file system
	}
	freed := end - s.begin
	s.begin, s.held = end, s.held-freed
	for len(s.marks) > 0 && s.marks[0].offset < end {
		s.marks = s.marks[1:]
	}
	s.room.Give(freed)
	return true
}

// errTrimmed says that events were given up.
type errTrimmed struct{ first uint64 }

func (errTrimmed) Error() string { return "the events were given up to make room for others" }

// trimmed returns an error if what is from a seq on is not all there, which is read from
// offset on.
func (s *spool) trimmed(seq uint64, offset, end int64) error {
	s.mu.Lock()
	begin, last := s.begin, s.last
	s.mu.Unlock()
	if begin == 0 || offset > begin {
		return nil
	}
	first := last + 1
	if begin < end {
		buf, err := s.read(nil, begin, end, spoolRead)
		if err != nil {
			return err
		}
		first = seqOf(buf)
	}
	if max(seq, 1) < first {
		return errTrimmed{first}
	}
	return nil
}
