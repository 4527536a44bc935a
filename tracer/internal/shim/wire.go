package shim

import (
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"
)

// What the supervisor says to its two helper processes, and hears: over Unix sockets, in
// messages of their own that no other version ever reads.

// ErrPeerGone says that the other side has closed its socket, or ended.
var ErrPeerGone = errors.New("the other side is gone")

// ReadFull reads exactly len(b) bytes from a descriptor, or returns ErrPeerGone.
func ReadFull(fd int, b []byte) error {
	for len(b) > 0 {
		n, err := syscall.Read(fd, b)
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

// maxMessage is more than a shim has to say.
const maxMessage = 1 << 16

// ReadMessage reads a length and as many bytes.
func ReadMessage(fd int) ([]byte, error) {
	var size [4]byte
	if err := ReadFull(fd, size[:]); err != nil {
		return nil, err
	}
	n := binary.NativeEndian.Uint32(size[:])
	if n > maxMessage {
		return nil, fmt.Errorf("a message of %d bytes", n)
	}
	b := make([]byte, n)
	return b, ReadFull(fd, b)
}

// HandOverFlags are the flags of the message that hands the listener over. The filter
// lets a sendmsg with them pass: no receiver runs yet. Beside MSG_NOSIGNAL they say
// nothing on a Unix socket, and no program gives them together.
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
