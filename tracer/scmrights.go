package tracer

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// receiveDescriptors receives up to len(b) bytes and what descriptors come with
// them (shim.SendDescriptors), close-on-exec. Zero bytes say that the other side is gone.
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
