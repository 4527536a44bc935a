package tracer

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// scripted is a script as a command with a sink.
func scripted(t *testing.T, script string) *Cmd {
	t.Helper()
	c := shell(t, script)
	c.Sink = &recorder{}
	return c
}

// TestStreams: readers and writers that are no files are copied from and to.
func TestStreams(t *testing.T) {
	needTracing(t)
	input := strings.Repeat("a line of input\n", 50_000) // more than a pipe holds
	c := scripted(t, "cat; echo bad >&2")
	var out, err strings.Builder
	c.Stdin, c.Stdout, c.Stderr = strings.NewReader(input), &out, &err
	if err := c.Run(); err != nil {
		t.Fatal(err)
	}
	if out.String() != input || err.String() != "bad\n" {
		t.Errorf("%d bytes of output, want %d; standard error %q", out.Len(), len(input), err.String())
	}
}

// TestStreamsShared: one writer for both streams is written to by one goroutine.
func TestStreamsShared(t *testing.T) {
	needTracing(t)
	c := scripted(t, "for i in 1 2 3; do echo $i; echo $i >&2; done")
	var both bytes.Buffer
	c.Stdout, c.Stderr = &both, &both
	if err := c.Run(); err != nil {
		t.Fatal(err)
	}
	if got := both.String(); got != "1\n1\n2\n2\n3\n3\n" {
		t.Errorf("got %q", got)
	}
}

// TestStreamsUnread: a command need not read its input.
func TestStreamsUnread(t *testing.T) {
	needTracing(t)
	c := scripted(t, "exit 3")
	c.Stdin = strings.NewReader(strings.Repeat("x", 1<<20))
	var exit *ExitError
	if err := c.Run(); !errors.As(err, &exit) || exit.Exit.Code != 3 || err.Error() != "exit status 3" {
		t.Errorf("got %v", err)
	}
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// TestStreamsFail: Wait returns the error of a writer.
func TestStreamsFail(t *testing.T) {
	needTracing(t)
	c := scripted(t, "echo; exit 0")
	c.Stdout = failingWriter{}
	if err := c.Run(); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v", err)
	}
}

// TestStreamsWaitDelay: a descendant that outlives the session does not hold Wait up for
// longer than WaitDelay.
func TestStreamsWaitDelay(t *testing.T) {
	needTracing(t)
	gate, release, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer gate.Close()
	defer release.Close() // ends the descendant
	c := scripted(t, "read x <&3 & exit 0")
	var out bytes.Buffer
	c.Stdout, c.ExtraFiles, c.WaitDelay = &out, []*os.File{gate}, time.Millisecond
	if err := c.Run(); !errors.Is(err, exec.ErrWaitDelay) {
		t.Errorf("got %v", err)
	}
}

// TestCommandContext: the end of the context ends the session's processes.
func TestCommandContext(t *testing.T) {
	needTracing(t)
	ctx, cancel := context.WithCancel(context.Background())
	c := CommandContext(ctx, "/bin/sh", "-c", "trap '' TERM; echo ready; read x")
	input, closeInput := io.Pipe()
	defer closeInput.Close()
	ready, out := io.Pipe()
	c.Sink, c.Stdin, c.Stdout, c.WaitDelay = &recorder{}, input, out, time.Millisecond
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(ready, make([]byte, 6)); err != nil {
		t.Fatal(err)
	}
	if c.Result() != nil {
		t.Error("there is a result before the end")
	}
	cancel()
	if err := c.Wait(); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if status := c.Result().Status; !status.Signaled() || status.Signal() != unix.SIGKILL {
		t.Errorf("it ended with %v", c.Result().Exit)
	}
	if err := CommandContext(ctx, "true").Run(); err == nil {
		t.Error("a command without a sink runs")
	}
	late := CommandContext(ctx, "true")
	late.Sink = &recorder{}
	if err := late.Run(); !errors.Is(err, context.Canceled) {
		t.Errorf("after the context's end: %v", err)
	}
}
