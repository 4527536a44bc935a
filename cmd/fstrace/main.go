// Command fstrace runs a command unchanged and records every file access of it
// and of all its descendants.
package main

import "os"

func main() {
	os.Exit(execute(os.Args[1:]))
}
