// Package tracer runs a command unchanged and records each file access of the command and
// of all its descendants. It is used like os/exec:
//
//	cmd := tracer.Command("make", "-j4")
//	cmd.Stdout = os.Stdout
//	cmd.Sink = events.NewJSONL(file)
//	err := cmd.Run()
//
// An [events.Sink] receives the record. [Cmd.Result] says how the command ended and what
// the record may miss. A session is one run of a command: it lasts from Start until the
// command has ended or, with [WaitAll], its last descendant.
//
// # How it works
//
// A seccomp filter selects the system calls that can name files. The thread that makes
// such a call sleeps while this package looks at what the call names; then the kernel
// runs the call as if there had been no filter. ptrace(2) reports the start and the end
// of processes. docs/architecture.md explains the parts.
//
// # What a host program must know
//
// The process of the command starts as a second instance of the host's binary, and so
// does a helper process that can outlive the session. The init function of this package
// recognizes both and does not return in them. Initializers that run before it run in
// them too, so they must have no effect outside the process. /proc must be mounted, and
// the command's user must be able to read the binary.
//
// The package does not touch other children of the host, its signals or its limits. A
// binary that is linked with -ldflags=-E=fstrace_entry passes on the signals that were
// ignored when it was started ([SignalsKept]).
//
// The command is killed when the host ends, except with [LifecycleNotify].
//
// A session keeps four of the runtime's Ps busy: one for the receiver thread, one for the
// tracer thread, one for the consumer of the record and one for everything else. With a
// lower GOMAXPROCS, goroutines wait for the runtime's monitor thread (sysmon).
//
// # Two programs
//
// A program can start the process of a command and have another program trace it: the
// command then has the terminal, the process group, the limits and the descriptors of the
// first program, and the second needs no rights over them. [Cmd.Launch] starts the
// process, [Adopted] and Cmd.Adopt take it over. Package ipc does so for a [Launch].
//
// # Probes
//
// [CheckProc], [CheckNested] and [CheckRecorder] try out what a session needs or can use,
// for programs that explain to their users what is missing.
//
// # Limits
//
// The package needs Linux 5.9 or later on amd64 or arm64. docs/limits.md lists the rest.
package tracer
