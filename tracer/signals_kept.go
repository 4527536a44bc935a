package tracer

import "github.com/fstrace/fstrace/tracer/internal/shim"

// SignalsKept reports whether this binary keeps, for its commands, every signal
// disposition that it was started with. One that was not linked with
// "-ldflags=-E=fstrace_entry" keeps ignored only SIGHUP, SIGINT and the job control
// signals, and loses a blocked SIGPROF.
func SignalsKept() bool { return shim.SignalsKept() }
