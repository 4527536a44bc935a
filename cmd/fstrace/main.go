// Command fstrace runs a command unchanged and records every file access of it
// and of all its descendants.
package main

import (
	"os"
	"runtime"
)

func main() {
	// What a session needs (package tracer). GOMAXPROCS in the environment is meant for
	// the command.
	runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), 4))
	os.Exit(execute(os.Args[1:]))
}
