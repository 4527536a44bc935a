// Package shim is the process that becomes a command: the program executes itself
// again under another name, and this package's init, which sees that, does what is to
// be done between fork and exec. Package tracer starts it and tells it what to run. It
// also holds what both need: what this process was started with, and how they talk.
//
// The init runs before those of all other packages of any weight. Go initializes, each
// time, that package which comes first by its import path among those whose imports are
// all initialized; so this one, which imports nothing but errors, runtime, strconv, syscall
// and unsafe, follows package syscall, and os, fmt, net, the tables of system calls and
// whatever else the program is made of come after it: a shim never gets there. For that
// reason some things are written out here that other packages have.
//
// Init functions run on the main thread, and that thread alone makes the shim's calls. It
// does not lock itself to it, nor tell the Go scheduler of calls that block: each of these may
// start a thread, and exec, which has to end all the others, waits for it.
package shim
