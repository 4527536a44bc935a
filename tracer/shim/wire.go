package shim

import (
	"errors"
	"strconv"
	"syscall"
)

// What the supervisor and its two helper processes say to each other: over Unix
// sockets, in messages of their own that no other version ever reads. The helpers
// use neither the Go runtime's poller nor its files: after a filter is installed,
// nothing must be called that is notified.

// ErrPeerGone says that the other side has closed its socket, or ended.
var ErrPeerGone = errors.New("the other side is gone")

// A readFunc is read(2): syscall.Read, which lets the Go scheduler know that it may block, as
// the supervisor must, or rawRead, which does not, for the shim.
type readFunc func(fd int, b []byte) (int, error)

// readFull reads exactly len(b) bytes from a descriptor, or returns ErrPeerGone.
func readFull(read readFunc, fd int, b []byte) error {
	for len(b) > 0 {
		n, err := read(fd, b)
		switch {
		case err == syscall.EINTR:
		case n == 0 && err == nil, err == syscall.ECONNRESET: // ended with something unread
			return ErrPeerGone
		case err != nil:
			return err
		default:
			b = b[n:]
		}
	}
	return nil
}

// ReadFull reads exactly len(b) bytes from a descriptor, or returns ErrPeerGone.
func ReadFull(fd int, b []byte) error { return readFull(syscall.Read, fd, b) }

// WriteFull writes all of b to a socket.
func WriteFull(fd int, b []byte) error {
	for len(b) > 0 {
		// send, not write: a peer that is gone must not raise SIGPIPE.
		n, err := syscall.SendmsgN(fd, b, nil, nil, syscall.MSG_NOSIGNAL)
		if err == syscall.EINTR {
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
func readMessage(read readFunc, fd int) ([]byte, error) {
	var size [4]byte
	if err := readFull(read, fd, size[:]); err != nil {
		return nil, err
	}
	n := getUint32(size[:])
	if n > maxMessage {
		return nil, errors.New("a message of " + strconv.FormatUint(uint64(n), 10) + " bytes")
	}
	b := make([]byte, n)
	return b, readFull(read, fd, b)
}

// ReadMessage reads a length and as many bytes.
func ReadMessage(fd int) ([]byte, error) { return readMessage(syscall.Read, fd) }

// HandOverFlags are the flags of the message that hands the listener over. The filter lets
// a sendmsg with them pass unseen: nobody answers yet. Beside MSG_NOSIGNAL they say nothing
// on a Unix socket, and no program gives them together.
const HandOverFlags = syscall.MSG_NOSIGNAL | syscall.MSG_CONFIRM | syscall.MSG_DONTROUTE | syscall.MSG_PROXY

// SendDescriptors sends one byte with descriptors beside it: unix(7), SCM_RIGHTS.
func SendDescriptors(fd int, b byte, fds ...int) error {
	for {
		err := syscall.Sendmsg(fd, []byte{b}, syscall.UnixRights(fds...), nil, HandOverFlags)
		if err != syscall.EINTR {
			return err
		}
	}
}
