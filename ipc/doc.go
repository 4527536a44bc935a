// Package ipc has the socket API of fstraced: a schema, a server and a client.
//
// The protocol is varlink (https://varlink.org): JSON objects, each followed by a NUL
// byte, over a Unix stream socket. io.fstrace.v1.varlink is the schema, which the server
// also returns on request. docs/protocol.md describes the protocol for clients in other
// languages.
//
// A client runs a command and follows its record:
//
//	client, err := ipc.Dial("")
//	stream, err := client.Run(ctx, &ipc.RunRequest{Argv: argv, Env: os.Environ(), Cwd: dir,
//		Files: map[int]*os.File{1: os.Stdout, 2: os.Stderr}})
//	err = stream.Replay(sink)
//
// # Design
//
// The server writes the record of each session once, as JSON lines, to a file, its spool.
// A subscriber has an offset in this file and a buffer, so a subscriber that does not
// read delays no other. If space runs out, the server drops what all subscribers have
// read. It reads from connections all the time, so that it notices the end of a client
// while it answers a call.
//
// The [Server] starts a command in a terminal session of its own, with the descriptors,
// environment and directory that came with the call. Alternatively the client has started
// a process that becomes the command and passes it on ([RunRequest.Launch]): then the
// command inherits everything from the client.
//
// Manifests and whole records can be passed as descriptors of files, whatever their size.
//
// # Limits
//
// The server handles a request only if there is memory for its decoded form, which may be
// a hundred times as large as the message (ipc/internal/varlink). It checks parameters
// before decoding them, for errors that encoding/json ignores (inspect.go).
//
// Descriptors belong to the message that was sent with the same sendmsg(2). The kernel
// allows 253 of them.
package ipc
