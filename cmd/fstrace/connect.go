package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/fstrace/fstrace/cmd/internal/commandline"
	"github.com/fstrace/fstrace/cmd/internal/signals"
	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/events/summary"
	"github.com/fstrace/fstrace/ipc"
	"github.com/fstrace/fstrace/tracer"
	"github.com/fstrace/fstrace/tracer/jobcontrol"
	"golang.org/x/sys/unix"
)

// A connected is a run that fstraced records (--connect). The command is started
// here, as this process's child, and has all that a child inherits: descriptors,
// terminal, group, limits. The daemon traces it, and sends the record, which is
// written here. So signals, job control and the exit status are the business of the
// two processes that they are the business of without a daemon.
type connected struct {
	run
	client *ipc.Client
	// begun is a time before the run: it distinguishes a timeout from a cancellation.
	begun time.Time
}

// A launchedJob is the command of a connected run.
type launchedJob struct{ *tracer.Launch }

func (j launchedJob) Pid() int { return j.PID }

// Continued reports, while the command's stop is answered, whether it has been continued
// since. It still looks stopped until its tracer, the daemon, continues it. The kernel
// notes a SIGCONT at once, for the parent to ask: wait(2).
func (j launchedJob) Continued() bool {
	var info unix.Siginfo
	err := unix.Waitid(unix.P_PID, j.PID, &info, unix.WCONTINUED|unix.WNOHANG|unix.WNOWAIT, nil)
	return err == nil && info.Signo != 0 || j.Launch.Continued()
}

// defaultSocket is the word that stands for the user's own daemon.
const defaultSocket = "default"

// dial makes sure that there is a daemon at the socket of that name.
func dial(socket string) (*ipc.Client, error) {
	if socket == defaultSocket {
		socket = ""
	}
	return ipc.Dial(socket)
}

// newConnected checks the flags and that there is a daemon, and opens the record.
func newConnected(f *flags, args []string) (*connected, error) {
	cmd, err := f.command(args)
	if err != nil {
		return nil, err
	}
	if f.connect == "" {
		return nil, errors.New("--connect=: the name of the socket is empty; use --connect for the default socket")
	}
	client, err := dial(f.connect)
	if err != nil {
		return nil, err
	}
	out, err := openOutput(f.output)
	if err != nil {
		return nil, err
	}
	return &connected{run: run{flags: f, cmd: cmd, output: out}, client: client}, nil
}

// request returns the request to run the command.
func (c *connected) request(l *tracer.Launch) (*ipc.RunRequest, error) {
	f := c.flags
	// Round up: 0 means no limit.
	timeout := (f.timeout + time.Millisecond - 1).Milliseconds()
	killAfter := f.killAfter.Milliseconds()
	q := &ipc.RunRequest{
		Argv: c.cmd.Args, Env: os.Environ(), Launch: l,
		Options: ipc.Options{
			Wait: f.wait, Lifecycle: f.lifecycle, IOUring: f.ioUring, Recorder: f.recorder, TimeoutMs: timeout, KillAfterMs: &killAfter,
			Only: f.only, Ignore: f.ignore,
		},
	}
	if f.format == "manifest" {
		events := f.verbose // which sums them up
		q.Options.Manifest, q.Options.Events, q.Options.Record = true, &events, recordPath(f.output)
		q.Options.Compact, q.Options.EnvValues = f.compact, f.envValues
		if f.root != "" {
			var err error
			if q.Options.Root, err = commandline.RealDirectory(f.root); err != nil {
				return nil, fmt.Errorf("--root %s: %w", f.root, err)
			}
		}
	}
	var err error
	if q.Cwd, err = unix.Getwd(); err != nil { // removed: as the kernel names it
		if q.Cwd, err = os.Readlink("/proc/self/cwd"); err != nil {
			return nil, fmt.Errorf("the working directory: %w", err)
		}
	}
	return q, nil
}

// execute runs the command and returns fstrace's exit status, or does not return if
// the command was killed by a signal.
func (c *connected) execute() int {
	s := signals.Catch()
	others := otherDescriptors()
	<-s.Ready()
	c.begun = time.Now()
	launch, err := c.cmd.Launch()
	if err != nil {
		return c.notRun(err)
	}
	cmd := launchedJob{launch}
	if c.flags.format == "manifest" && c.flags.wait == "root" { // else the daemon may be waiting for processes
		s.GiveUp = func(sig unix.Signal) { time.AfterFunc(giveUpAfter, func() { c.giveUp(sig) }) }
	}
	go s.Forward(cmd)
	ended := make(chan tracer.Result, 1)
	go func() { ended <- c.wait(cmd, s) }()
	stream, err := c.start(launch)
	if err != nil {
		launch.Close()
		return c.notBegun((<-ended).Status, err)
	}
	s.Launched()
	letGoOfDescriptors(others, c.output.isStdout())
	if c.flags.verbose {
		c.sum = new(summary.Summary)
	}
	rec := received{flags: c.flags, out: c.output, client: c.client, stream: stream, sum: c.sum}
	if err := rec.take(); err != nil {
		return c.brokenOff(cmd, ended, err)
	}
	return c.end(&rec, <-ended)
}

// giveUp ends fstrace before the record has come. The daemon stops hashing for a client
// that is gone.
func (c *connected) giveUp(sig unix.Signal) {
	c.output.abort()
	fmt.Fprintf(os.Stderr, "fstrace: the command ended, but its record could not be written: %s came before all files were hashed\n", unix.SignalName(sig))
	os.Exit(exitFailed)
}

// wait waits for the command's end, from the launch on: it can be stopped before it has
// begun.
func (c *connected) wait(cmd launchedJob, s *signals.Signals) tracer.Result {
	result, err := cmd.Wait(func(sig unix.Signal) { s.CommandStopped(cmd, sig) })
	if err != nil {
		fmt.Fprintf(os.Stderr, "fstrace: %v\n", err)
		return tracer.Result{Exit: events.Exit{Code: exitFailed}, Status: exitFailed << 8}
	}
	return result
}

// start has the daemon take the command over, and returns when it runs.
func (c *connected) start(l *tracer.Launch) (*ipc.Stream, error) {
	q, err := c.request(l)
	if err != nil {
		return nil, err
	}
	stream, err := c.client.Run(context.Background(), q)
	if err != nil {
		return nil, err
	}
	l.CloseControl()
	return stream, nil
}

// notRun reports that fstrace or the daemon failed before there was a command.
func (c *connected) notRun(err error) int {
	c.output.abort()
	if errors.Is(err, ipc.ErrGone) {
		fmt.Fprintln(os.Stderr, "fstrace: fstraced ended before the command was started: nothing was run; start fstraced again")
		return exitFailed
	}
	return cannotTrace(err)
}

// notBegun reports on a process that did not become the command. A signal that was meant
// for the command may have ended it: fstrace then ends as the command would have. But if
// fstraced has ended it, err says why.
func (c *connected) notBegun(status unix.WaitStatus, err error) int {
	var refused *ipc.Error
	ended := errors.As(err, &refused) && refused.ProcessEnded()
	isGone := errors.Is(err, ipc.ErrGone)
	switch {
	case status.Signaled() && !ended && !isGone:
		c.output.abort()
		return endLike(status)
	case status.Signaled() && isGone: // it may have executed the command just before
		c.output.abort()
		fmt.Fprintln(os.Stderr, "fstrace: fstraced has ended while it started the command: if the command had begun, it was killed, and there is no record; start fstraced again")
		return exitFailed
	}
	return c.notRun(err)
}

// brokenOff reports that the record does not come any more. A daemon that went away
// has killed the command; one that it had released to a debugger is
// ended here.
func (c *connected) brokenOff(cmd launchedJob, ended <-chan tracer.Result, err error) int {
	c.output.abort()
	if errors.Is(err, ipc.ErrGone) {
		_ = cmd.Signal(unix.SIGKILL)
		<-ended
		fmt.Fprintln(os.Stderr, "fstrace: fstraced has ended: the command was killed with it, and there is no record; start fstraced again (its log may say why it ended)")
		return exitFailed
	}
	fmt.Fprintf(os.Stderr, "fstrace: the command ended (%s), but its record is cut off: %v\n", (<-ended).Exit, err)
	return exitFailed
}

// end reports on a command that has ended and whose record is there.
func (c *connected) end(rec *received, result tracer.Result) int {
	told := rec.stream.Result()
	if told.NotExecuted != "" {
		fmt.Fprintf(os.Stderr, "fstrace: %s\n", told.NotExecuted)
	}
	result.Ending, result.Incomplete = endings[told.Ending], rec.gaps
	err := rec.err
	if err == nil {
		err = c.output.commit()
	} else {
		c.output.abort()
	}
	switch {
	case err != nil && told.NotExecuted != "":
		fmt.Fprintf(os.Stderr, "fstrace: the record could not be written: %v\n", err)
		return exitFailed
	case err != nil:
		fmt.Fprintf(os.Stderr, "fstrace: the command ended (%s), but its record could not be written: %v\n", result.Exit, err)
		return exitFailed
	case told.NotExecuted != "":
		return result.Exit.Code
	}
	c.report(&result)
	if told.Ending != "" && (c.flags.timeout == 0 || time.Since(c.begun) < c.flags.timeout) {
		fmt.Fprintf(os.Stderr, "fstrace: cancelled by fstraced; %s\n", result.Exit)
	} else {
		c.reportTimeout(&result)
	}
	return endLike(result.Status)
}

// endings maps the words of the protocol.
var endings = map[string]tracer.Ending{"term": tracer.EndedAfterTerm, "kill": tracer.EndedByKill}

// endLike ends this process as its command has, if that was by a signal, and returns
// the exit status otherwise.
func endLike(status unix.WaitStatus) int {
	if status.Signaled() {
		jobcontrol.KillSelf(status.Signal())
		return 128 + int(status.Signal()) // a signal that does not kill here
	}
	return status.ExitStatus()
}
