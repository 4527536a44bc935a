package manifest

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/fstrace/fstrace/events"
)

// A Command is a command whose accesses can be recorded. *tracer.Cmd implements it.
type Command interface {
	// Observe sets the receiver of the record, and the function to be called before files
	// change ([Recorder.Guard]).
	Observe(sink events.Sink, guard func(events.Op, string, events.FileInfo))
	// Served reports whether a path is on a file system that may not answer.
	Served(path string) bool
	// Start starts the command; Wait waits until the record has ended.
	Start() error
	Wait() error
	// Cancel ends the command's processes, after the grace by SIGKILL.
	Cancel(grace time.Duration)
}

// Record runs a command and returns the manifest of what it read and left behind. Before
// the call, set the other fields of the command, such as its standard output.
//
// If the command has run and failed, Record returns the manifest together with the error
// of Wait. The manifest is nil if the command did not run or if the record is cut off. If
// ctx is done first, Record kills the command's processes and returns the error of ctx.
func Record(ctx context.Context, cmd Command, o Options) (*Manifest, error) {
	var document bytes.Buffer
	r, err := NewRecorder(&document, o)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	cmd.Observe(r, r.Guard)
	r.Served(cmd.Served)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { cmd.Cancel(0) })
	defer stop()
	ended := cmd.Wait()
	if ended != nil && ctx.Err() != nil {
		ended = ctx.Err()
	}
	m, err := Decode(&document)
	if err != nil {
		return nil, errors.Join(ended, err)
	}
	return m, ended
}
