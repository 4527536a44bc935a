// Package shim is the process that becomes a command: what it does between its start and
// the command's exec. Package tracer starts it and tells it what to run. The package also
// holds what this process was started with, and how the two talk.
//
// A shim is not a Go program. Starting one, with its threads, heap and packages, takes
// longer than most commands do. It is a few dozen instructions (stub_linux_*.s) that read
// a program from a socket: a list of system calls, and where to go on after each result.
// The supervisor writes that program ([Launch.Encode]), so that everything that has to be
// decided is decided in Go, and can be tested there. The stub has no data, no signal
// handler and one thread, and makes no call but those of the program.
//
// The stub is executed as a program of its own, and not run in a forked copy of this
// process: a shim that waits, or that a terminal has stopped, shares no memory,
// descriptors or dispositions with the supervisor.
package shim
