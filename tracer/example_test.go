package tracer_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/tracer"
)

// What a command reads.
func ExampleCmd() {
	cmd := tracer.Command("cat", "/etc/passwd")
	cmd.Sink = events.SinkFunc(func(e *events.Event) error {
		if e.Op == events.OpRead && strings.HasPrefix(e.Path, "/etc/pass") {
			fmt.Println("read", e.Path)
		}
		return nil
	})
	if err := cmd.Run(); err != nil {
		log.Fatal(err)
	}
	// Output: read /etc/passwd
}

// The command's streams are those of os/exec.
func ExampleCmd_streams() {
	var out strings.Builder
	cmd := tracer.Command("tr", "a-z", "A-Z")
	cmd.Stdin = strings.NewReader("some input\n")
	cmd.Stdout = &out
	cmd.Sink = events.SinkFunc(func(*events.Event) error { return nil })
	if err := cmd.Run(); err != nil {
		log.Fatal(err)
	}
	fmt.Print(out.String())
	// Output: SOME INPUT
}

// A command that fails has a record all the same.
func ExampleExitError() {
	cmd := tracer.Command("cat", "/no/such/file")
	cmd.Sink = events.SinkFunc(func(e *events.Event) error {
		if e.Path == "/no/such/file" {
			fmt.Println(e.Op, e.Path, e.State)
		}
		return nil
	})
	err := cmd.Run()
	var exit *tracer.ExitError
	if errors.As(err, &exit) {
		fmt.Println(exit.Exit.Code, len(exit.Incomplete))
	}
	// Output:
	// read /no/such/file absent
	// 1 0
}

// The record of a command in the jsonl format.
func ExampleCommandContext() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	file, err := os.CreateTemp("", "record-*.jsonl")
	if err != nil {
		log.Fatal(err)
	}
	defer os.Remove(file.Name())
	cmd := tracer.CommandContext(ctx, "true")
	cmd.Sink = events.NewJSONL(file)
	if err := cmd.Run(); err != nil {
		log.Fatal(err)
	}
	if err := file.Close(); err != nil {
		log.Fatal(err)
	}
	fmt.Println(cmd.Result().Exit.Code)
	// Output: 0
}
