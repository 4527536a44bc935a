package tracer

import "github.com/fstrace/fstrace/tracer/internal/shim"

// SignalsKept reports whether commands start with every signal disposition that this
// program was started with. That needs a binary linked with -ldflags=-E=fstrace_entry. In
// other binaries the Go runtime has replaced them, except for SIGHUP, SIGINT and the job
// control signals if they were ignored.
func SignalsKept() bool { return shim.SignalsKept() }
