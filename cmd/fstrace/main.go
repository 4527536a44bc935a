// Command fstrace runs a command unchanged and records every file access of it
// and of all its descendants.
package main

import (
	"os"
	"runtime"

	"github.com/fstrace/fstrace/tracer"
)

func main() {
	runtime.GOMAXPROCS(max(runtime.NumCPU(), tracer.Processors)) // GOMAXPROCS in the environment is the command's
	os.Exit(execute(os.Args[1:]))
}
