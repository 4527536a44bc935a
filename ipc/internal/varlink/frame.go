package varlink

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A Frame is one message on the socket: JSON, without the NUL byte that ends it, and the
// descriptors that came with it. Its receiver must call Release.
type Frame struct {
	Data []byte
	// Files are the descriptors. A receiver that takes one over sets it to -1.
	Files []int
	inbox *Budget // that Data was taken from, nil if from none
	held  *Budget // that Files were taken from
	count int     // how many were

	gate   *Gate // that the frame has entered, nil if none
	weight int64
}

// Release gives back what the frame has taken, and closes its descriptors.
func (f *Frame) Release() {
	f.CloseFiles()
	if f.inbox != nil {
		f.inbox.Give(int64(len(f.Data)))
	}
	f.leave()
	f.Data, f.inbox = nil, nil
}

// Detach moves the data to a frame of its own, which the caller must release. The
// descriptors stay.
func (f *Frame) Detach() *Frame {
	data := *f
	data.Files, data.held, data.count = nil, nil, 0
	f.Data, f.inbox, f.gate = nil, nil, nil
	return &data
}

// Enter waits until the gate has room for weight bytes, and enters it. A frame that has
// entered a gate before leaves that first. Enter returns [ErrTooHeavy] if the gate never
// has as much, and [ErrBrokenOff] if gone is closed.
func (f *Frame) Enter(g *Gate, weight int64, gone <-chan struct{}) error {
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

func (f *Frame) leave() {
	if f.gate != nil {
		f.gate.leave(f.weight)
		f.gate = nil
	}
}

// CloseFiles closes the descriptors that were not taken over.
func (f *Frame) CloseFiles() {
	CloseAll(f.Files)
	if f.held != nil {
		f.held.Give(int64(f.count))
	}
	f.Files, f.held, f.count = nil, nil, 0
}

// CloseAll closes descriptors. It skips negative numbers.
func CloseAll(files []int) {
	for _, fd := range files {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

// Errors of [Reader.Next]. After an error, nothing more can be read.
var (
	ErrTooLarge     = errors.New("message too large")
	ErrTooManyFiles = errors.New("too many descriptors beside a message")
	ErrTooMuch      = errors.New("too many bytes wait for an answer")
	ErrTooManyHeld  = errors.New("too many descriptors wait for an answer")
	ErrFilesLost    = errors.New("descriptors were lost")
	ErrBrokenOff    = errors.New("the connection ended within a message")
	ErrUnfinished   = errors.New("a message took too long to come")
)

// readSize is how many bytes one read takes.
const readSize = 64 << 10

// MaxFiles is how many descriptors the kernel passes with one message.
const MaxFiles = 253

// A Reader reads messages from a connection.
//
// The kernel ends a read after the bytes that were sent with descriptors: unix(7). So the
// descriptors belong to the last message of which the read has bytes, provided that its
// sender sent it by a system call of its own.
type Reader struct {
	conn  *net.UnixConn
	limit int

	// MaxFiles is how many descriptors a message may have.
	MaxFiles int
	// Inbox limits the bytes of the messages of several readers that have not been
	// released, and Held the number of their descriptors. nil means no limit.
	Inbox, Held *Budget
	// Patience is how long a message may take to arrive, from its first byte to its last.
	// 0 means no limit.
	Patience time.Duration
	// ReadSize is how many bytes one read takes. 0 means 64 KiB.
	ReadSize int

	part  []byte  // the message that has begun
	files []int   // its descriptors
	timed bool    // a deadline is set for it
	ready []Frame // whole messages
	in    []byte
	oob   []byte
	err   error
}

// NewReader returns a reader of messages of at most limit bytes and maxFiles descriptors.
func NewReader(conn *net.UnixConn, limit, maxFiles int) *Reader {
	return &Reader{conn: conn, limit: limit, MaxFiles: maxFiles, oob: make([]byte, unix.CmsgSpace(MaxFiles*4))}
}

// Next returns the next message. At the end of the stream, between two messages, it
// returns io.EOF.
func (r *Reader) Next() (Frame, error) {
	for len(r.ready) == 0 {
		if r.err != nil {
			return Frame{}, r.err
		}
		r.read()
	}
	f := r.ready[0]
	r.ready = r.ready[1:]
	return f, nil
}

// Close releases the messages that have been read and not been returned.
func (r *Reader) Close() {
	for i := range r.ready {
		r.ready[i].Release()
	}
	r.ready = nil
	r.dropPart()
	if r.err == nil {
		r.err = net.ErrClosed
	}
}

// limitTime sets a deadline for a message that has begun to come, and removes it when
// there is none.
func (r *Reader) limitTime() {
	begun := len(r.part)+len(r.files) > 0
	if r.Patience == 0 || begun == r.timed {
		return
	}
	var deadline time.Time
	if begun {
		deadline = time.Now().Add(r.Patience)
	}
	if err := r.conn.SetReadDeadline(deadline); err == nil { // else the read says so
		r.timed = begun
	}
}

// read takes in what one read returns.
func (r *Reader) read() {
	if r.in == nil {
		r.in = make([]byte, cmp.Or(r.ReadSize, readSize))
	}
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
		err = ErrFilesLost // no descriptor to spare here, or more than the kernel passes
	}
	switch {
	case n == 0 && err == nil, errors.Is(err, io.EOF):
		err = io.EOF
	case errors.Is(err, syscall.ECONNRESET): // closed with something unread: as good
		err = io.EOF
	case errors.Is(err, os.ErrDeadlineExceeded) && r.timed:
		err = ErrUnfinished
	}
	if err != nil {
		CloseAll(files)
		if err == io.EOF && (len(r.part) > 0 || len(r.files) > 0) {
			err = ErrBrokenOff
		}
		r.fail(err)
		return
	}
	r.split(r.in[:n])
	r.attach(files)
}

// split takes whole messages off b.
func (r *Reader) split(b []byte) {
	for len(b) > 0 && r.err == nil {
		end := bytes.IndexByte(b, 0)
		piece := b
		if end >= 0 {
			piece = b[:end]
		}
		if len(r.part)+len(piece) > r.limit {
			r.fail(ErrTooLarge)
			return
		}
		if r.Inbox != nil && !r.Inbox.Take(int64(len(piece))) {
			r.fail(ErrTooMuch)
			return
		}
		r.part = append(r.part, piece...)
		if end < 0 {
			return
		}
		r.ready = append(r.ready, Frame{Data: r.part, Files: r.files, inbox: r.Inbox, held: r.Held, count: len(r.files)})
		r.part, r.files = nil, nil
		if r.timed { // the next has its own time
			r.timed = false
			_ = r.conn.SetReadDeadline(time.Time{})
		}
		b = b[end+1:]
	}
}

// attach gives descriptors to the message that the read ended with.
func (r *Reader) attach(files []int) {
	if len(files) == 0 {
		return
	}
	if r.err == nil && r.Held != nil && !r.Held.Take(int64(len(files))) {
		r.fail(ErrTooManyHeld)
	}
	if r.err != nil {
		CloseAll(files)
		return
	}
	owner := &r.files
	if len(r.part) == 0 && len(r.ready) > 0 {
		last := &r.ready[len(r.ready)-1]
		owner = &last.Files
		last.count += len(files)
	}
	*owner = append(*owner, files...)
	if len(*owner) > r.MaxFiles {
		r.fail(ErrTooManyFiles)
	}
}

// fail ends the stream. Messages that were whole before are still returned, but for
// one that has too much itself.
func (r *Reader) fail(err error) {
	if err == ErrTooManyFiles && len(r.part) == 0 && len(r.ready) > 0 {
		last := len(r.ready) - 1
		r.ready[last].Release()
		r.ready = r.ready[:last]
	}
	r.dropPart()
	r.err = err
}

// dropPart drops the message that has begun.
func (r *Reader) dropPart() {
	f := Frame{Data: r.part, Files: r.files, inbox: r.Inbox, held: r.Held, count: len(r.files)}
	f.Release()
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

// Write sends a message. The descriptors go with its first byte.
func Write(conn *net.UnixConn, data []byte, files []int) error {
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
