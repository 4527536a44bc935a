package main

import (
	"net"
	"os"
	"time"

	"github.com/fstrace/fstrace/ipc"
	"golang.org/x/sys/unix"
)

// serveLink serves another worker of the same user, as a sibling, until that ends.
func serveLink(server *ipc.Server, channel *net.UnixConn) {
	remove := server.AddSibling(func() (*net.UnixConn, error) { return dialLink(channel) })
	defer remove()
	defer channel.Close()
	for {
		_, conn, err := receive(channel)
		if err != nil {
			return
		}
		go server.ServeSibling(conn)
	}
}

// dialLink returns a new connection to the worker at the other end.
func dialLink(channel *net.UnixConn) (*net.UnixConn, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	theirs := os.NewFile(uintptr(pair[1]), "connection")
	defer theirs.Close()
	ours := os.NewFile(uintptr(pair[0]), "connection")
	defer ours.Close()
	if err := channel.SetWriteDeadline(time.Now().Add(passTime)); err != nil {
		return nil, err
	}
	if _, _, err := channel.WriteMsgUnix([]byte{passConnection}, unix.UnixRights(pair[1]), nil); err != nil {
		return nil, err
	}
	conn, err := net.FileConn(ours)
	if err != nil {
		return nil, err
	}
	return conn.(*net.UnixConn), nil // it is
}
