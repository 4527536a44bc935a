package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/fstrace/fstrace/ipc"
	"golang.org/x/sys/unix"
)

// What the daemon and a worker say to each other: a message is one packet.
const (
	// passConnection comes from the daemon, with a connection.
	passConnection = 'c'
	// passLink comes from the daemon, with a channel to another worker of the user. What
	// the two say to each other is passConnection.
	passLink = 'l'
	// sayIdle comes from a worker that has had nothing to do for some time, with the
	// number of connections that it has received, 8 bytes, big endian. If there are no
	// more on the way, the daemon dismisses it.
	sayIdle = 'i'
	// sayEnding comes from a worker that has got the signal to end.
	sayEnding = 'e'
)

// workerSocket is the number of the worker's channel.
const workerSocket = 3

// handedOver are the connections that a worker is passed.
type handedOver struct {
	conn *net.UnixConn
	// link takes a channel to another worker.
	link func(*net.UnixConn)

	mu       sync.Mutex
	received uint64 // and taken: the server counts them as connections
	taking   bool   // one more is received, which the server may not count yet
	told     bool   // that it is idle; nothing has come since
}

func newHandedOver(fd int) (*handedOver, error) {
	unix.CloseOnExec(fd)
	file := os.NewFile(uintptr(fd), "worker")
	defer file.Close()
	conn, err := net.FileConn(file)
	if err != nil {
		return nil, fmt.Errorf("worker: %w", err)
	}
	unixConn, ok := conn.(*net.UnixConn)
	if !ok {
		conn.Close()
		return nil, errors.New("worker: not a Unix socket")
	}
	return &handedOver{conn: unixConn}, nil
}

// errDismissed says that the daemon does not need an idle worker any more.
var errDismissed = fmt.Errorf("dismissed: %w", io.EOF)

// AcceptUnix returns the next connection. It must be called again only when the one
// before is counted as a connection: sayIdle relies on that. At the end it returns
// errDismissed if the worker had said that it was idle, and io.EOF otherwise: the daemon
// has ended.
func (h *handedOver) AcceptUnix() (*net.UnixConn, error) {
	for {
		h.mu.Lock()
		if h.taking { // the call that asks for the next has taken it
			h.received, h.taking = h.received+1, false
		}
		h.mu.Unlock()
		kind, conn, err := receive(h.conn)
		h.mu.Lock()
		told := h.told
		if err == nil || !errors.Is(err, io.EOF) {
			h.taking, h.told = true, false
		}
		h.mu.Unlock()
		switch {
		case errors.Is(err, io.EOF) && told:
			return nil, errDismissed
		case err != nil:
			return nil, err
		case kind == passLink:
			h.link(conn)
		default:
			return conn, nil
		}
	}
}

// receive returns what comes with the next packet: io.EOF if there are no more.
func receive(from *net.UnixConn) (kind byte, conn *net.UnixConn, err error) {
	var b [1]byte
	oob := make([]byte, unix.CmsgSpace(4))
	n, oobn, _, _, err := from.ReadMsgUnix(b[:], oob)
	if err != nil {
		return 0, nil, err
	}
	if n == 0 {
		return 0, nil, io.EOF
	}
	conn, err = receivedConnection(oob[:oobn])
	return b[0], conn, err
}

// receivedConnection makes a connection of what came with a packet.
func receivedConnection(oob []byte) (*net.UnixConn, error) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil || len(messages) != 1 {
		return nil, errors.New("worker: received no connection")
	}
	files, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(files) != 1 {
		return nil, errors.New("worker: received no connection")
	}
	file := os.NewFile(uintptr(files[0]), "connection")
	defer file.Close()
	conn, err := net.FileConn(file)
	if err != nil {
		return nil, err
	}
	unixConn, ok := conn.(*net.UnixConn)
	if !ok {
		conn.Close()
		return nil, errors.New("worker: received a descriptor that is not a connection")
	}
	return unixConn, nil
}

// Close ends the accepting.
func (h *handedOver) Close() error { return h.conn.Close() }

// sayIdle tells the daemon, each time that for so long the worker has had nothing to do
// and nothing to keep, until ctx is done.
func (h *handedOver) sayIdle(ctx context.Context, server *ipc.Server, after time.Duration) {
	for server.AwaitUnused(ctx, after) == nil {
		h.mu.Lock()
		b := binary.BigEndian.AppendUint64([]byte{sayIdle}, h.received)
		h.told = true
		h.mu.Unlock()
		_, _ = h.conn.Write(b) // if the daemon has ended, AcceptUnix tells
	}
}

// sayEnding tells the daemon that its signal has come.
func (h *handedOver) sayEnding() { _, _ = h.conn.Write([]byte{sayEnding}) }
