package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/fstrace/fstrace/cmd/internal/signals"
	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/events/manifest"
	"github.com/fstrace/fstrace/events/summary"
	"github.com/fstrace/fstrace/tracer"
	"github.com/fstrace/fstrace/tracer/jobcontrol"
	"golang.org/x/sys/unix"
)

// A run is one command with its record, on this process's own descriptors.
type run struct {
	flags  *flags
	cmd    *tracer.Cmd
	output *output
	sum    *summary.Summary // for -v, nil without
	// manifest is the sink of that format, nil for the others.
	manifest *manifest.Recorder
}

// newRun checks the flags and opens the record: whatever is wrong with them is
// said before the command is started.
func newRun(f *flags, args []string) (*run, error) {
	cmd, err := f.command(args)
	if err != nil {
		return nil, err
	}
	out, err := openOutput(f.output)
	if err != nil {
		return nil, err
	}
	r := &run{flags: f, cmd: cmd, output: out}
	sink, err := newSink(f, out, f.live())
	if err != nil {
		out.abort()
		return nil, err
	}
	cmd.Sink = sink
	if f.verbose {
		if cmd.Sink, r.sum, err = summing(sink, f); err != nil {
			out.abort()
			return nil, err
		}
	}
	if m, ok := sink.(*manifest.Recorder); ok {
		r.manifest, cmd.Guard = m, m.Guard
		m.Served(cmd.Served)
	}
	return r, nil
}

// command checks the flags, and returns the command to run.
func (f *flags) command(args []string) (*tracer.Cmd, error) {
	cmd := &tracer.Cmd{
		Path: args[0], Args: args, InheritFiles: true, Timeout: f.timeout, KillAfter: f.killAfter,
	}
	if err := cmd.WaitFor.UnmarshalText([]byte(f.wait)); err != nil {
		return nil, fmt.Errorf("--wait %w", err)
	}
	if err := cmd.IOUring.UnmarshalText([]byte(f.ioUring)); err != nil {
		return nil, fmt.Errorf("--io-uring %w", err)
	}
	if err := cmd.Lifecycle.UnmarshalText([]byte(f.lifecycle)); err != nil {
		return nil, fmt.Errorf("--lifecycle %w", err)
	}
	if err := cmd.Recorder.UnmarshalText([]byte(f.recorder)); err != nil {
		return nil, fmt.Errorf("--recorder %w", err)
	}
	if f.timeout < 0 || f.killAfter < 0 {
		return nil, errors.New("--timeout, --kill-after: must not be negative")
	}
	// The format is checked before the file is opened: a wrong flag leaves none.
	if _, err := newSink(f, nil, false); err != nil {
		return nil, err
	}
	return cmd, nil
}

// live reports whether a reader may follow the record as it is written.
func (f *flags) live() bool { return f.output == "" || f.output == "-" }

// newSink makes the encoder for the format, behind the filters.
func newSink(f *flags, out *output, live bool) (events.Sink, error) {
	var sink events.Sink
	switch f.format {
	case "text":
		var options []events.TextOption
		if live {
			options = append(options, events.LineBuffered())
		}
		sink = events.NewText(out, options...)
	case "jsonl":
		sink = events.NewJSONL(out)
	case "depfile":
		if len(f.depTargets) == 0 {
			return nil, errors.New("--format depfile: requires --depfile-target")
		}
		var options []events.DepfileOption
		if f.phony {
			options = append(options, events.PhonyPrerequisites())
		}
		sink = events.NewDepfile(out, f.depTargets, options...)
	case "manifest":
	default:
		return nil, fmt.Errorf("--format %q: must be text, jsonl, manifest or depfile", f.format)
	}
	if (len(f.depTargets) > 0 || f.phony) && f.format != "depfile" {
		return nil, errors.New("--depfile-target, --phony: require --format depfile")
	}
	if f.format == "manifest" {
		return newManifest(f, out) // chooses itself, in the end
	}
	if f.root != "" {
		return nil, errors.New("--root: requires --format manifest")
	}
	if f.compact || f.envValues {
		return nil, errors.New("--compact, --env-values: require --format manifest")
	}
	return events.Filter(sink, f.only, f.ignore)
}

// giveUpAfter is how long the record may still take when a signal has come after the
// command's end.
const giveUpAfter = time.Second

// run runs the command and returns fstrace's exit status, or does not return if
// the command was killed by a signal.
func (r *run) run(s *signals.Signals) int {
	others := otherDescriptors()
	r.cmd.StartAfter = s.Ready()
	if r.manifest != nil {
		s.GiveUp = func(sig unix.Signal) {
			const same = 100 * time.Millisecond
			if r.manifest.Ending() < same { // it may be the one that has ended the command
				return
			}
			time.AfterFunc(giveUpAfter, func() {
				r.manifest.Abandon(fmt.Errorf("%s came before all files were hashed", unix.SignalName(sig)))
			})
		}
	}
	r.cmd.OnStop = func(sig unix.Signal) { s.CommandStopped(r.cmd, sig) }
	go s.Forward(r.cmd)
	if err := r.cmd.Start(); err != nil {
		return r.failed(err)
	}
	s.Launched()
	letGoOfDescriptors(others, r.output.isStdout())
	_ = r.cmd.Wait() // the result says all of it
	result := r.cmd.Result()
	err := result.Err
	if err == nil {
		err = r.output.commit()
	} else {
		r.output.abort()
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "fstrace: the command ended (%s), but its record could not be written: %v\n", result.Exit, err)
		return exitFailed
	}
	r.report(result)
	r.reportTimeout(result)
	if result.Status.Signaled() {
		jobcontrol.KillSelf(result.Status.Signal())
		return 128 + int(result.Status.Signal()) // a signal that does not kill here
	}
	return result.Exit.Code
}

// failed reports a command that was not started. One that cannot be executed has
// a record all the same, of where it was looked for.
func (r *run) failed(err error) int {
	var notRun *tracer.ExecError
	if !errors.As(err, &notRun) {
		r.output.abort()
		return cannotTrace(err)
	}
	fmt.Fprintf(os.Stderr, "fstrace: %v\n", err)
	if err = r.cmd.Result().Err; err == nil {
		err = r.output.commit()
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "fstrace: the record could not be written: %v\n", err)
		return exitFailed
	}
	return notRun.ExitStatus()
}

// cannotTrace reports why nothing was run.
func cannotTrace(err error) int {
	fmt.Fprintf(os.Stderr, "fstrace: %v; nothing was run (\"fstrace doctor\" reports what this machine allows)\n", err)
	return exitFailed
}

// report says on standard error what the record does not show by itself.
func (r *run) report(result *tracer.Result) {
	gaps := result.Incomplete
	if r.manifest != nil {
		gaps = r.manifest.Incomplete()
	}
	textOnStderr := r.flags.format == "text" && r.flags.output == ""
	if !r.flags.quiet && !textOnStderr {
		for _, gap := range gaps {
			of := ""
			if gap.PID != 0 {
				of = fmt.Sprintf("process %d: ", gap.PID)
			}
			fmt.Fprintf(os.Stderr, "fstrace: the record is incomplete: %s: %s%s\n", gap.Reason, of, gap.Detail)
		}
	}
	if r.sum != nil {
		r.sum.Incomplete = gaps
		_ = r.sum.WriteBrief(os.Stderr, "fstrace: ")
		if c := result.Calls; c.Recorders > 0 {
			fmt.Fprintf(os.Stderr, "fstrace: %-10s %d notified; %d recorded, by %d processes\n", "calls", c.Notified, c.Recorded, c.Recorders)
		}
	}
}

// reportTimeout says what ended a command that ran into its timeout.
func (r *run) reportTimeout(result *tracer.Result) {
	switch result.Ending {
	case tracer.EndedAfterTerm:
		fmt.Fprintf(os.Stderr, "fstrace: timed out after %v: sent SIGTERM; %s\n", r.flags.timeout, result.Exit)
	case tracer.EndedByKill:
		fmt.Fprintf(os.Stderr, "fstrace: timed out after %v: did not respond to SIGTERM within %v; killed\n", r.flags.timeout, r.flags.killAfter)
	case tracer.EndedByItself:
	}
}

// otherDescriptors lists what this process was started with beyond standard
// input, output and error.
func otherDescriptors() []int {
	var list []int
	fds, err := tracer.KeptDescriptors()
	if err != nil {
		return nil
	}
	for _, fd := range fds {
		if fd > 2 {
			list = append(list, fd)
		}
	}
	return list
}

// letGoOfDescriptors drops what the command has now: a pipe must end when the
// command closes it, not when fstrace does. Standard error is kept for messages.
func letGoOfDescriptors(others []int, keepStdout bool) {
	for _, fd := range others {
		unix.Close(fd)
	}
	null, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return // what is held up is a reader's end of file, not the command
	}
	defer unix.Close(null)
	_ = unix.Dup3(null, 0, unix.O_CLOEXEC)
	if !keepStdout {
		_ = unix.Dup3(null, 1, unix.O_CLOEXEC)
	}
}
