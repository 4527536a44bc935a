package ipc

import (
	"bytes"
	"fmt"
	"io"
	"os"

	"github.com/fstrace/fstrace/ipc/internal/varlink"
)

// Documents are manifests and whole records. A client gets one as a descriptor: of a file
// that has no name and nothing but the document, open for reading. So its size does not
// matter to any limit of messages, nor to the daemon's memory.

// methodManifest returns the manifest of a session.
func (s *Server) methodManifest(r *request) error {
	var p wireGetManifest
	if err := decodeParameters(r.Parameters, &p); err != nil {
		return err
	}
	n, err := s.registry.find(p.Session)
	if err != nil {
		return err
	}
	size, _, err := n.documentSize()
	if err != nil {
		return err
	}
	if p.Descriptor {
		n.subscribe() // it is kept meanwhile
		defer n.leave()
		return r.replyFile(n, size, io.NewSectionReader(n.spool.file, n.documentAt, size))
	}
	if err := s.admit(r.frame, 2*size, r.gone); err != nil {
		return err
	}
	doc, err := n.readManifest()
	if err != nil {
		return err
	}
	// Not by encode, which would take the document apart and put it together again.
	data := append(make([]byte, 0, size+64), `{"parameters":{"manifest":`...)
	data = append(data, doc...)
	data = append(data, `}}`...)
	if r.Oneway {
		return nil
	}
	return varlink.Write(r.conn, data, nil)
}

// methodRecord returns the record of a session once it has ended: the lines that
// fstrace -f jsonl writes.
func (s *Server) methodRecord(r *request) error {
	var p wireSessionName
	if err := decodeParameters(r.Parameters, &p); err != nil {
		return err
	}
	n, err := s.registry.find(p.Session)
	if err != nil {
		return err
	}
	n.subscribe()
	defer n.leave()
	select {
	case <-n.done:
	case <-r.gone:
		return varlink.ErrBrokenOff
	}
	reader, _, err := n.spool.follow(0)
	if err != nil {
		return n.replayGone(err)
	}
	defer reader.close()
	first, last := n.first(), n.last()
	_, written := n.spool.count()
	header, trailer := append(bytes.Clone(first.Start), '\n'), append(bytes.Clone(last.End), '\n')
	if len(last.End) == 0 { // it is broken off
		trailer = nil
	}
	size := int64(len(header)) + written + int64(len(trailer))
	return r.replyFile(n, size, io.MultiReader(bytes.NewReader(header), io.NewSectionReader(n.spool.file, 0, written), bytes.NewReader(trailer)))
}

// replyFile replies with a descriptor of a file that has what the reader returns.
func (r *request) replyFile(n *session, size int64, from io.Reader) error {
	if r.Oneway {
		return nil
	}
	f, err := r.server.documentFile(size, from)
	if err != nil {
		return newError(ErrReplayGone, "session", n.id(), "first", 0, "message", err.Error())
	}
	defer f.Close()
	data, err := varlink.Encode(wireFile{Descriptor: 0, Size: size})
	if err != nil {
		return err
	}
	if data, err = varlink.Encode(varlink.Reply{Parameters: data}); err != nil {
		return err
	}
	return varlink.Write(r.conn, data, []int{int(f.Fd())})
}

// documentFile makes such a file, in the directory of the spools.
func (s *Server) documentFile(size int64, from io.Reader) (*os.File, error) {
	w, err := unnamedFile(s.config.Spool)
	if err != nil {
		return nil, fmt.Errorf("make a file in %s: %w", s.config.Spool, cause(err))
	}
	defer w.Close()
	if n, err := io.Copy(w, from); err != nil || n != size {
		return nil, fmt.Errorf("copy to a file in %s: %d of %d bytes: %w", s.config.Spool, n, size, err)
	}
	return os.Open(fmt.Sprintf("/proc/self/fd/%d", w.Fd())) // for reading only
}
