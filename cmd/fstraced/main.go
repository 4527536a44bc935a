// Command fstraced runs commands for its clients and records every file access of
// them: the daemon behind fstrace --connect and the socket API (docs/protocol.md).
package main

import (
	"os"
	"runtime"

	"github.com/fstrace/fstrace/tracer"
)

func main() {
	runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), 2*tracer.Processors)) // several sessions
	os.Exit(execute(os.Args[1:]))
}
