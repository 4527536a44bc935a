// Command whatmakeread runs make and prints each file that it and its commands read.
package main

import (
	"fmt"
	"log"
	"os"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/tracer"
)

func main() {
	seen := make(map[string]bool)
	cmd := tracer.Command("make", os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Sink = events.SinkFunc(func(e *events.Event) error {
		if e.Op == events.OpRead && e.State == events.StateFile && !seen[e.Path] {
			seen[e.Path] = true
			fmt.Println(e.Path)
		}
		return nil
	})
	if err := cmd.Run(); err != nil {
		log.Fatal(err)
	}
}
