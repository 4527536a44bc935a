package ipc_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/ipc"
)

// serve stands for fstraced: a server on a socket in a directory of its own.
func serve() (socket string, stop func()) {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	socket = filepath.Join(dir, "socket")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		log.Fatal(err)
	}
	s := ipc.NewServer(ipc.Config{Socket: socket, Spool: dir})
	go s.Serve(l)
	return socket, func() {
		s.Shutdown(context.Background(), true)
		os.RemoveAll(dir)
	}
}

// A command run by fstraced, and what it read.
func ExampleClient_Run() {
	socket, stop := serve()
	defer stop()

	client, err := ipc.Dial(socket)
	if err != nil {
		log.Fatal(err)
	}
	stream, err := client.Run(context.Background(), &ipc.RunRequest{
		Argv: []string{"cat", "/etc/passwd"},
		Env:  []string{"PATH=/usr/bin:/bin"},
		Cwd:  "/",
	})
	if err != nil {
		log.Fatal(err)
	}
	defer stream.Close()
	err = stream.Replay(events.SinkFunc(func(e *events.Event) error {
		if e.Op == events.OpRead && strings.HasPrefix(e.Path, "/etc/pass") {
			fmt.Println(e.Op, e.Path)
		}
		return nil
	}))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%q\n", stream.Result().Error)
	// Output:
	// read /etc/passwd
	// ""
}

// Notices of what others run.
func ExampleClient_Monitor() {
	socket, stop := serve()
	defer stop()

	client, err := ipc.Dial(socket)
	if err != nil {
		log.Fatal(err)
	}
	notices, err := client.Monitor(context.Background(), "")
	if err != nil {
		log.Fatal(err)
	}
	defer notices.Close()
	first, err := notices.Next()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("sessions:", len(first.Sessions))

	stream, err := client.Run(context.Background(), &ipc.RunRequest{Argv: []string{"sh", "-c", "exit 3"}, Env: []string{"PATH=/usr/bin:/bin"}, Cwd: "/"})
	if err != nil {
		log.Fatal(err)
	}
	defer stream.Close()
	for ended := false; !ended; {
		n, err := notices.Next()
		if err != nil {
			log.Fatal(err)
		}
		switch {
		case n.Begun != nil:
			fmt.Println("begun:", n.Begun.Argv)
		case n.Ended != nil:
			fmt.Println("ended:", n.Ended.Argv)
			ended = true
		}
	}
	// Output:
	// sessions: 0
	// begun: [sh -c exit 3]
	// ended: [sh -c exit 3]
}
