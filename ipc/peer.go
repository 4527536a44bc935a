package ipc

import (
	"net"

	"github.com/fstrace/fstrace/ipc/internal/varlink"
)

// A Peer identifies the process at the other end of a connection at the time when it
// called connect(2): SO_PEERCRED and SO_PEERGROUPS, unix(7).
type Peer struct {
	PID, UID, GID int
	Groups        []int // supplementary
}

func peerOf(conn *net.UnixConn) (Peer, error) {
	p, err := varlink.PeerOf(conn)
	return Peer(p), err
}
