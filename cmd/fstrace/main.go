// Command fstrace runs a command unchanged and records every file access of it
// and of all its descendants.
package main

import (
	"os"
	"runtime"

	"github.com/fstrace/fstrace/tracer"
)

func main() {
	// GOMAXPROCS in the environment is meant for the command.
	runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), tracer.Processors))
	os.Exit(execute(os.Args[1:]))
}
