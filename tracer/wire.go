package tracer

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// What the supervisor and its two helper processes say to each other: over Unix
// sockets, in messages of their own that no other version ever reads. The helpers
// use neither the Go runtime's poller nor its files: after a filter is installed,
// nothing must be called that is notified.

// A launch is what the shim is to run. Strings are bytes: an environment need not
// be UTF-8.
type launch struct {
	path    string // the file, looked up in PATH if it has no slash
	dir     string // "" keeps the directory
	argv    []string
	env     []string
	filter  []bpf.RawInstruction
	signals inheritedSignals
	umask   int32  // negative keeps it
	apart   bool   // it is in a session of its own, and stays there
	tracer  uint32 // the process that is going to trace it, 0 for its parent
}

func appendString(b []byte, s string) []byte {
	b = binary.NativeEndian.AppendUint32(b, uint32(len(s)))
	return append(b, s...)
}

func appendStrings(b []byte, list []string) []byte {
	b = binary.NativeEndian.AppendUint32(b, uint32(len(list)))
	for _, s := range list {
		b = appendString(b, s)
	}
	return b
}

// encode returns the message: its length, then its fields.
func (l *launch) encode() []byte {
	b := make([]byte, 4, 4096)
	b = appendString(b, l.path)
	b = appendString(b, l.dir)
	b = appendStrings(b, l.argv)
	b = appendStrings(b, l.env)
	b = binary.NativeEndian.AppendUint32(b, uint32(len(l.filter)))
	for _, in := range l.filter {
		b = binary.NativeEndian.AppendUint16(b, in.Op)
		b = append(b, in.Jt, in.Jf)
		b = binary.NativeEndian.AppendUint32(b, in.K)
	}
	b = binary.NativeEndian.AppendUint64(b, l.signals.mask)
	b = binary.NativeEndian.AppendUint64(b, l.signals.ignored)
	b = binary.NativeEndian.AppendUint32(b, uint32(l.umask))
	apart := byte(0)
	if l.apart {
		apart = 1
	}
	b = append(b, apart)
	b = binary.NativeEndian.AppendUint32(b, l.tracer)
	binary.NativeEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

// A decoder takes fields off a message. The first that is missing ends it.
type decoder struct {
	b   []byte
	err error
}

var errShortMessage = errors.New("message is cut off")

func (d *decoder) take(n int) []byte {
	if n > len(d.b) || d.err != nil {
		d.err = errShortMessage
		return make([]byte, min(n, 8))
	}
	field := d.b[:n]
	d.b = d.b[n:]
	return field
}

func (d *decoder) uint32() uint32 { return binary.NativeEndian.Uint32(d.take(4)) }
func (d *decoder) uint64() uint64 { return binary.NativeEndian.Uint64(d.take(8)) }
func (d *decoder) string() string { return string(d.take(int(d.uint32()))) }

func (d *decoder) strings() []string {
	var list []string
	for n := d.uint32(); n > 0 && d.err == nil; n-- {
		list = append(list, d.string())
	}
	return list
}

// decodeLaunch reads what encode wrote, without the length.
func decodeLaunch(b []byte) (*launch, error) {
	d := decoder{b: b}
	l := &launch{path: d.string(), dir: d.string(), argv: d.strings(), env: d.strings()}
	for n := d.uint32(); n > 0 && d.err == nil; n-- {
		in := d.take(8)
		l.filter = append(l.filter, bpf.RawInstruction{
			Op: binary.NativeEndian.Uint16(in), Jt: in[2], Jf: in[3], K: binary.NativeEndian.Uint32(in[4:]),
		})
	}
	l.signals = inheritedSignals{mask: d.uint64(), ignored: d.uint64()}
	l.umask, l.apart, l.tracer = int32(d.uint32()), d.take(1)[0] != 0, d.uint32()
	return l, d.err
}

// A failure is what the shim could not do: its step and the kernel's answer.
type failure struct {
	step  string
	errno unix.Errno
}

// encode returns the reply: its kind, its length, then its fields.
func (f *failure) encode() []byte {
	b := []byte{replyFailure, 0, 0, 0, 0}
	b = binary.NativeEndian.AppendUint32(b, uint32(f.errno))
	b = appendString(b, f.step)
	binary.NativeEndian.PutUint32(b[1:], uint32(len(b)-5))
	return b
}

func decodeFailure(b []byte) (*failure, error) {
	d := decoder{b: b}
	f := &failure{errno: unix.Errno(d.uint32())}
	f.step = d.string()
	return f, d.err
}

// First bytes of the shim's replies, and the supervisor's go-ahead.
const (
	replyListener = 'L' // with the listener as SCM_RIGHTS
	replyNested   = 'N' // another listener is above: the command runs without a filter
	replyFailure  = 'E'
	goAhead       = 'G'
)

// readFull reads exactly len(b) bytes from a descriptor, or returns errPeerGone.
func readFull(fd int, b []byte) error {
	for len(b) > 0 {
		n, err := unix.Read(fd, b)
		switch {
		case err == unix.EINTR:
		case n == 0 && err == nil, err == unix.ECONNRESET: // ended with something unread
			return errPeerGone
		case err != nil:
			return err
		default:
			b = b[n:]
		}
	}
	return nil
}

var errPeerGone = errors.New("the other side is gone")

// writeFull writes all of b to a descriptor.
func writeFull(fd int, b []byte) error {
	for len(b) > 0 {
		// send, not write: a peer that is gone must not raise SIGPIPE.
		n, err := unix.SendmsgN(fd, b, nil, nil, unix.MSG_NOSIGNAL)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// maxMessage is more than the kernel lets a command have: 6 MiB of arguments and
// environment.
const maxMessage = 64 << 20

// readMessage reads a length and as many bytes.
func readMessage(fd int) ([]byte, error) {
	var size [4]byte
	if err := readFull(fd, size[:]); err != nil {
		return nil, err
	}
	n := binary.NativeEndian.Uint32(size[:])
	if n > maxMessage {
		return nil, fmt.Errorf("a message of %d bytes", n)
	}
	b := make([]byte, n)
	return b, readFull(fd, b)
}

// sendDescriptors sends one byte with descriptors beside it: unix(7), SCM_RIGHTS.
func sendDescriptors(fd int, b byte, fds ...int) error {
	for {
		err := unix.Sendmsg(fd, []byte{b}, unix.UnixRights(fds...), nil, unix.MSG_NOSIGNAL)
		if err != unix.EINTR {
			return err
		}
	}
}

// receiveDescriptors receives up to len(b) bytes and what descriptors come with
// them, close-on-exec. Zero bytes say that the other side is gone.
func receiveDescriptors(fd int, b []byte) (n int, fds []int, err error) {
	oob := make([]byte, unix.CmsgSpace(4*4))
	var oobn int
	for {
		n, oobn, _, _, err = unix.Recvmsg(fd, b, oob, unix.MSG_CMSG_CLOEXEC)
		if err != unix.EINTR {
			break
		}
	}
	if err == unix.ECONNRESET { // ended with something unread
		return 0, nil, nil
	}
	if err != nil {
		return 0, nil, err
	}
	messages, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil {
		return n, nil, fmt.Errorf("parse control message: %w", err)
	}
	for i := range messages {
		rights, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			return n, fds, fmt.Errorf("parse descriptors: %w", err)
		}
		fds = append(fds, rights...)
	}
	return n, fds, nil
}
