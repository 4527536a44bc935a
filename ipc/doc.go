// Package ipc is fstrace's socket API: a schema, a server and a client.
//
// The protocol is varlink's (https://varlink.org): JSON objects, each with a NUL byte
// after it, over a Unix stream socket. io.fstrace.v1.varlink is the schema, which the
// server also returns when it is asked for it; docs/protocol.md explains it to those
// who write a client in another language.
//
// A client runs a command and follows its record:
//
//	client, err := ipc.Dial("")
//	stream, err := client.Run(ctx, &ipc.RunRequest{Argv: argv, Env: os.Environ(), Cwd: dir,
//		Files: map[int]*os.File{1: os.Stdout, 2: os.Stderr}})
//	err = stream.Replay(sink)
//
// # What goes where
//
// Each session's record is spooled to a file, once, as JSON lines. Whoever reads it
// has an offset there, no more: one that does not read costs a buffer, and nobody
// waits for it. Where there is no more room, what all readers have read is given up.
// Connections are read all the time, so that a client's end is noticed
// while it is being answered.
//
// A command is started by the server ([Server]), with the descriptors, environment
// and directory that came with the call, in a terminal session of its own. Or the
// caller has started a process to become the command, and passes it on
// ([RunRequest.Launch]): then everything that a process inherits is the caller's.
//
// Manifests and whole records also go as descriptors of files, whatever their size.
//
// # Limits
//
// A request is let in when there is memory for what its message becomes, which may be a
// hundred times as much: gate.go and weigh.go. Parameters are inspected before they are
// decoded, for what encoding/json passes over in silence: inspect.go.
//
// Descriptors belong to the message that was sent together with them, by one
// sendmsg(2) of its own. The kernel allows 253.
package ipc
