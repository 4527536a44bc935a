// Command fstrace-cache skips a command that would do the same again, and restores what
// it made. "fstrace cache" executes it.
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
