package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/fstrace/fstrace/cache"
	"github.com/fstrace/fstrace/cmd/internal/signals"
	"github.com/fstrace/fstrace/events/manifest"
	"github.com/fstrace/fstrace/tracer"
	"github.com/fstrace/fstrace/tracer/jobcontrol"
	"golang.org/x/sys/unix"
)

// A runner runs a task. It is the program's side of the command: signals, job control and
// terminals.
type runner struct {
	task    *cache.Task
	stdin   *os.File
	hashes  *manifest.Cache
	signals *signals.Signals
	cmd     *tracer.Cmd
}

// giveUpAfter is how long storing a result may still take when a signal has come after
// the command's end.
const giveUpAfter = time.Second

// A launched is a command that tells the signals when it runs.
type launched struct {
	*tracer.Cmd
	signals *signals.Signals
}

func (l launched) Start() error {
	err := l.Cmd.Start()
	if err == nil {
		l.signals.Launched()
	}
	return err
}

// run is a cache.Runner.
func (r *runner) run(ctx context.Context, stdout, stderr io.Writer) (*manifest.Manifest, error) {
	cmd := tracer.Command(r.task.Argv[0], r.task.Argv[1:]...)
	cmd.Env, cmd.Dir = r.task.Env, r.task.Dir
	if r.stdin != nil {
		cmd.Stdin = struct{ io.Reader }{r.stdin} // a pipe: the file has no name
	}
	var out outlets
	var err error
	if cmd.Stdout, err = out.add(1, stdout); err != nil {
		return nil, err
	}
	switch {
	case r.task.Merged:
		cmd.Stderr = cmd.Stdout
	default:
		if cmd.Stderr, err = out.add(2, stderr); err != nil {
			return nil, err
		}
	}
	r.cmd, r.signals = cmd, signals.Catch()
	// What is stored is whole at any moment, so this program may end by the signal. It
	// may be the one that has ended the command; then there is time to return its status.
	r.signals.GiveUp = func(sig unix.Signal) { time.AfterFunc(giveUpAfter, func() { jobcontrol.KillSelf(sig) }) }
	cmd.StartAfter = r.signals.Ready()
	cmd.OnStop = func(sig unix.Signal) { r.signals.CommandStopped(cmd, sig) }
	go r.signals.Forward(cmd)
	m, err := manifest.Record(ctx, launched{cmd, r.signals}, manifest.Options{Cache: r.hashes})
	out.end()
	var failed *tracer.ExitError
	if errors.As(err, &failed) && m != nil {
		err = nil
	}
	return m, err
}

// status returns the exit status for what a task did. It does not return if a signal
// killed the command: this program ends by the same one.
func (r *runner) status(out *cache.Outcome) int {
	if r.cmd != nil {
		if ws := r.cmd.Result().Status; ws.Signaled() {
			jobcontrol.KillSelf(ws.Signal())
			return 128 + int(ws.Signal()) // a signal that does not kill here
		}
	}
	return out.Exit.Code
}

// failed reports that there is no result, and returns the exit status.
func (r *runner) failed(err error) int {
	var notRun *tracer.ExecError
	if errors.As(err, &notRun) {
		fmt.Fprintf(os.Stderr, "fstrace cache: %v\n", err)
		return notRun.ExitStatus()
	}
	fmt.Fprintf(os.Stderr, "fstrace cache: %v (\"fstrace doctor\" reports what this machine allows)\n", err)
	return exitFailed
}
