// Package observe turns system calls that are about to run into accesses, and accesses
// into events. An [Observer] reads what the arguments of a call point to (observer.go;
// indirect.go, sockets.go and exec.go for calls that do not simply name a path), has the
// paths resolved, and prepares for what the call changes.
//
// How a call was learnt is its [Source]: the decoder asks it for strings and structs, and
// does not know whether the caller waits or has left a copy.
//
// Programs name interpreters that the kernel opens as well (interpreter.go, programs.go,
// binfmt.go). What a command inherits is accessed without any call (inherited.go).
//
// The package knows no ptrace, no listener and no sessions.
package observe
