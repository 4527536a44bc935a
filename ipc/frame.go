package ipc

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A frame is one message as it goes over the socket: JSON, without the NUL byte
// that ends it, and the descriptors that came beside it.
type frame struct {
	data  []byte
	files []int   // the receiver's to close
	inbox *budget // what data is accounted for in, if in anything
	held  *budget // what files are accounted for in
	count int     // of the files that are

	gate   *gate // what has let the message in, if it needed to be
	weight int64
}

// release drops a message that has been dealt with.
func (f *frame) release() {
	f.closeFiles()
	f.releaseData()
}

// releaseData is release without the descriptors.
func (f *frame) releaseData() {
	if f.inbox != nil {
		f.inbox.give(int64(len(f.data)))
	}
	f.leave()
	f.data, f.inbox = nil, nil
}

// enter lets the message in: dealing with it takes that much memory. It leaves first
// where it had been let in before.
func (f *frame) enter(g *gate, weight int64, gone <-chan struct{}) error {
	f.leave()
	if weight <= freeWeight {
		return nil
	}
	if err := g.enter(weight, gone); err != nil {
		return err
	}
	f.gate, f.weight = g, weight
	return nil
}

func (f *frame) leave() {
	if f.gate != nil {
		f.gate.leave(f.weight)
		f.gate = nil
	}
}

func (f *frame) closeFiles() {
	closeAll(f.files)
	if f.held != nil {
		f.held.give(int64(f.count))
	}
	f.files, f.held, f.count = nil, nil, 0
}

func closeAll(files []int) {
	for _, fd := range files {
		if fd >= 0 { // not taken
			unix.Close(fd)
		}
	}
}

// Errors of a frameReader. None of them leaves the stream in a state to go on from.
var (
	errTooLarge     = errors.New("message too large")
	errTooManyFiles = errors.New("too many descriptors beside a message")
	errTooMuch      = errors.New("too much is waiting to be dealt with")
	errTooManyHeld  = errors.New("too many descriptors are waiting to be dealt with")
	errFilesLost    = errors.New("descriptors were lost")
	errBrokenOff    = errors.New("the connection ended within a message")
	errUnfinished   = errors.New("a message took too long to come")
)

const (
	readSize = 64 << 10 // of one read, and of the buffer that a connection keeps
	// kernelFiles is how many descriptors the kernel passes with one message.
	kernelFiles = 253
)

// A frameReader takes messages off a connection.
//
// The kernel ends a read behind the bytes that came in one piece with descriptors:
// unix(7). So they belong to the last message that the read has bytes of, provided
// that its sender sent it by a call of its own.
type frameReader struct {
	conn     *net.UnixConn
	limit    int     // bytes of a message
	maxFiles int     // descriptors of a message
	inbox    *budget // of all messages of all connections together; nil for no limit
	held     *budget // of all their descriptors
	// patience is how long a message may take to come, 0 for ever.
	patience time.Duration

	part  []byte  // the message that has begun
	files []int   // its descriptors
	timed bool    // a deadline is set for it
	ready []frame // whole messages
	in    []byte
	oob   []byte
	err   error
}

func newFrameReader(conn *net.UnixConn, limit, maxFiles int) *frameReader {
	return &frameReader{
		conn: conn, limit: limit, maxFiles: maxFiles,
		in: make([]byte, readSize), oob: make([]byte, unix.CmsgSpace(kernelFiles*4)),
	}
}

// next returns the next message. At the end of the stream, between two messages, it
// returns io.EOF.
func (r *frameReader) next() (frame, error) {
	for len(r.ready) == 0 {
		if r.err != nil {
			return frame{}, r.err
		}
		r.read()
	}
	f := r.ready[0]
	r.ready = r.ready[1:]
	return f, nil
}

// close drops what has been read and not been returned.
func (r *frameReader) close() {
	for i := range r.ready {
		r.ready[i].release()
	}
	r.ready = nil
	r.dropPart()
	if r.err == nil {
		r.err = net.ErrClosed
	}
}

// limitTime sets a deadline for a message that has begun to come, and removes it when
// there is none.
func (r *frameReader) limitTime() {
	begun := len(r.part)+len(r.files) > 0
	if r.patience == 0 || begun == r.timed {
		return
	}
	var deadline time.Time
	if begun {
		deadline = time.Now().Add(r.patience)
	}
	if err := r.conn.SetReadDeadline(deadline); err == nil { // else the read says so
		r.timed = begun
	}
}

// read takes in what one read returns.
func (r *frameReader) read() {
	r.limitTime()
	n, oobn, flags, _, err := r.conn.ReadMsgUnix(r.in, r.oob) // close-on-exec
	var files []int
	if oobn > 0 {
		var parseErr error
		if files, parseErr = parseFiles(r.oob[:oobn]); parseErr != nil && err == nil {
			err = parseErr
		}
	}
	if flags&unix.MSG_CTRUNC != 0 && err == nil {
		err = errFilesLost // no descriptor to spare here, or more than the kernel passes
	}
	switch {
	case n == 0 && err == nil, errors.Is(err, io.EOF):
		err = io.EOF
	case errors.Is(err, syscall.ECONNRESET): // closed with something unread: as good
		err = io.EOF
	case errors.Is(err, os.ErrDeadlineExceeded) && r.timed:
		err = errUnfinished
	}
	if err != nil {
		closeAll(files)
		if err == io.EOF && (len(r.part) > 0 || len(r.files) > 0) {
			err = errBrokenOff
		}
		r.fail(err)
		return
	}
	r.split(r.in[:n])
	r.attach(files)
}

// split takes whole messages off b.
func (r *frameReader) split(b []byte) {
	for len(b) > 0 && r.err == nil {
		end := bytes.IndexByte(b, 0)
		piece := b
		if end >= 0 {
			piece = b[:end]
		}
		if len(r.part)+len(piece) > r.limit {
			r.fail(errTooLarge)
			return
		}
		if r.inbox != nil && !r.inbox.take(int64(len(piece))) {
			r.fail(errTooMuch)
			return
		}
		r.part = append(r.part, piece...)
		if end < 0 {
			return
		}
		r.ready = append(r.ready, frame{data: r.part, files: r.files, inbox: r.inbox, held: r.held, count: len(r.files)})
		r.part, r.files = nil, nil
		if r.timed { // the next has its own time
			r.timed = false
			_ = r.conn.SetReadDeadline(time.Time{})
		}
		b = b[end+1:]
	}
}

// attach gives descriptors to the message that the read ended with.
func (r *frameReader) attach(files []int) {
	if len(files) == 0 {
		return
	}
	if r.err == nil && r.held != nil && !r.held.take(int64(len(files))) {
		r.fail(errTooManyHeld)
	}
	if r.err != nil {
		closeAll(files)
		return
	}
	owner := &r.files
	if len(r.part) == 0 && len(r.ready) > 0 {
		last := &r.ready[len(r.ready)-1]
		owner = &last.files
		last.count += len(files)
	}
	*owner = append(*owner, files...)
	if len(*owner) > r.maxFiles {
		r.fail(errTooManyFiles)
	}
}

// fail ends the stream. Messages that were whole before are still returned, but for
// one that has too much itself.
func (r *frameReader) fail(err error) {
	if err == errTooManyFiles && len(r.part) == 0 && len(r.ready) > 0 {
		last := len(r.ready) - 1
		r.ready[last].release()
		r.ready = r.ready[:last]
	}
	r.dropPart()
	r.err = err
}

// dropPart drops the message that has begun.
func (r *frameReader) dropPart() {
	f := frame{data: r.part, files: r.files, inbox: r.inbox, held: r.held, count: len(r.files)}
	f.release()
	r.part, r.files = nil, nil
}

// parseFiles returns the descriptors of a control message: all of them, whatever is
// wrong with the rest.
func parseFiles(oob []byte) (files []int, err error) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, fmt.Errorf("parse control message: %w", err)
	}
	for i := range messages {
		rights, rightsErr := unix.ParseUnixRights(&messages[i])
		if rightsErr != nil {
			err = fmt.Errorf("parse descriptors: %w", rightsErr)
			continue
		}
		files = append(files, rights...)
	}
	return files, err
}

// writeFrame sends a message and descriptors beside its first byte.
func writeFrame(conn *net.UnixConn, data []byte, files []int) error {
	data = append(data, 0)
	if len(files) > 0 {
		n, _, err := conn.WriteMsgUnix(data, unix.UnixRights(files...), nil)
		if err != nil {
			return err
		}
		data = data[n:]
	}
	if len(data) == 0 {
		return nil
	}
	_, err := conn.Write(data)
	return err
}
