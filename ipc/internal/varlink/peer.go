package varlink

import (
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// A Peer identifies the process at the other end of a connection at the time when it
// called connect(2): SO_PEERCRED and SO_PEERGROUPS, unix(7).
type Peer struct {
	PID, UID, GID int
	Groups        []int // supplementary
}

// PeerOf returns the peer of a connection.
func PeerOf(conn *net.UnixConn) (Peer, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return Peer{}, fmt.Errorf("peer: %w", err)
	}
	var p Peer
	controlErr := raw.Control(func(fd uintptr) {
		var cred *unix.Ucred
		if cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err != nil {
			return
		}
		p = Peer{PID: int(cred.Pid), UID: int(cred.Uid), GID: int(cred.Gid)}
		p.Groups, err = peerGroups(int(fd))
	})
	if err == nil {
		err = controlErr
	}
	if err != nil {
		return Peer{}, fmt.Errorf("peer: %w", err)
	}
	return p, nil
}
