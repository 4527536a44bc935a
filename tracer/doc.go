// Package tracer runs a command unchanged and records every file access of it and
// of all its descendants. It is used like os/exec:
//
//	cmd := tracer.Command("make", "-j4")
//	cmd.Stdout = os.Stdout
//	cmd.Sink = events.NewJSONL(file)
//	err := cmd.Run()
//
// The record goes to an [events.Sink]. The [Result] says how the command ended and
// whether the record may miss something.
//
// # How it works
//
// A seccomp filter picks out the system calls that can name files; each waits until
// this package has looked at what it names, and then runs as if nothing had
// happened. ptrace tells of processes. docs/architecture.md has the parts.
//
// # What a host program must know
//
// The command's process begins as a second instance of the host's own binary, and
// so does a small helper that outlives the session if it must: the init function of
// this package recognizes both and never returns in them. Initializers of packages
// that come before it do run there, so they should have no effect outside the
// process. /proc must be mounted, and the binary readable by the command's user.
//
// The host's own children, signals and limits are left alone. A binary linked with
// -ldflags=-E=fstrace_entry passes on to commands the ignored signals that it was
// started with (see [SignalsKept]).
//
// A traced command dies with its host (but not with [LifecycleNotify]).
//
// # Limits
//
// Linux 5.9 or later, amd64 or arm64. docs/limits.md has the rest.
package tracer
