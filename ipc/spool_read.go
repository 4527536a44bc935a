package ipc

import (
	"bytes"
	"errors"
	"sort"
	"strconv"
)

// read returns whole lines from offset on, as many as there are and fit into about
// size bytes, in buf or a larger one. The first line is returned however long it is.
func (s *spool) read(buf []byte, offset, end int64, size int) ([]byte, error) {
	for {
		n := int(min(end-offset, int64(size)))
		if cap(buf) < n {
			buf = make([]byte, n)
		}
		buf = buf[:n]
		if _, err := s.file.ReadAt(buf, offset); err != nil {
			return nil, err
		}
		if cut := bytes.LastIndexByte(buf, '\n') + 1; cut > 0 {
			return buf[:cut], nil
		}
		if int64(n) == end-offset {
			return nil, errors.New("the spool is damaged: a line has no end")
		}
		size *= 2
	}
}

// seek returns the offset of the first event whose seq is at least the given one.
func (s *spool) seek(seq uint64) (int64, error) {
	s.mu.Lock()
	i := sort.Search(len(s.marks), func(i int) bool { return s.marks[i].seq > seq })
	offset := s.begin
	if i > 0 {
		offset = s.marks[i-1].offset
	}
	end := s.written
	s.mu.Unlock()
	if err := s.trimmed(seq, offset, end); err != nil {
		return 0, err
	}
	var buf []byte
	for offset < end {
		var err error
		if buf, err = s.read(buf, offset, end, spoolRead); err != nil {
			return 0, err
		}
		for line := range bytes.Lines(buf) {
			if seqOf(line) >= seq {
				return offset, nil
			}
			offset += int64(len(line))
		}
	}
	return offset, nil
}

// seqOf reads the seq of an event's line, which begins with it.
func seqOf(line []byte) uint64 {
	digits, _ := bytes.CutPrefix(line, []byte(`{"seq":`))
	if i := bytes.IndexByte(digits, ','); i >= 0 {
		digits = digits[:i]
	}
	seq, err := strconv.ParseUint(string(digits), 10, 64)
	if err != nil {
		return 0
	}
	return seq
}
