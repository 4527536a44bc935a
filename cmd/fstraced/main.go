// Command fstraced runs commands for its clients and records every file access of
// them: the daemon behind fstrace --connect and the socket API (docs/protocol.md).
package main

import (
	"os"
	"runtime"
)

func main() {
	runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), 8)) // for two sessions (package tracer)
	os.Exit(execute(os.Args[1:]))
}
