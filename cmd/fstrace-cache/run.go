package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/fstrace/fstrace/cache"
	"github.com/fstrace/fstrace/cmd/internal/commandline"
	"github.com/spf13/cobra"
)

const runHelp = `run returns the result of a command: it restores what an earlier run made if everything
that the command looked at is as it was, and otherwise runs the command and keeps the
result. The exit status is that of the command. If a signal killed the command, run ends
by the same signal. 125 means that fstrace failed, 126 and 127 that the command cannot be
executed or was not found.`

func newRun(f *flags, status *int) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run [flags] -- command [argument ...]",
		Short: "Run a command, or restore what it made before",
		Long:  runHelp,
		Args:  commandline.WantCommand("fstrace cache run"),
		RunE: func(_ *cobra.Command, args []string) error {
			j, err := newJob(f, args)
			if err != nil {
				return err
			}
			*status = j.execute()
			return nil
		},
	}
	f.addTaskFlags(cmd)
	return cmd
}

// A job is a task with everything that it needs here.
type job struct {
	*runner
	flags *flags
	cache *cache.Cache
}

func newJob(f *flags, argv []string) (*job, error) {
	t, in, err := f.task(argv)
	if err != nil {
		return nil, err
	}
	o, err := f.options(t.Dir)
	if err != nil {
		return nil, err
	}
	disk, err := f.open()
	if err != nil {
		return nil, err
	}
	t.Terminal, t.Merged = terminalKey(), isMerged()
	return &job{&runner{task: t, stdin: in, hashes: o.Hashes}, f, cache.New(disk, *o)}, nil
}

func (j *job) execute() int {
	start := time.Now()
	out, err := j.cache.Run(context.Background(), j.task, j.run)
	if err != nil {
		return j.failed(err)
	}
	if err := j.report(out, time.Since(start)); err != nil {
		return j.failed(err)
	}
	return j.status(out)
}

// A report is what run --json prints.
type report struct {
	Hit         bool          `json:"hit"`
	Remote      bool          `json:"remote,omitempty"`
	Kept        bool          `json:"kept"`
	Reason      string        `json:"reason,omitempty"` // why it was not kept
	Detail      string        `json:"detail,omitempty"`
	Took        time.Duration `json:"tookNs"`
	CommandTook time.Duration `json:"commandTookNs"` // when it ran
}

func (j *job) report(out *cache.Outcome, took time.Duration) error {
	r := report{Hit: out.Hit, Remote: out.Remote, Kept: out.NotKept == nil, Took: took, CommandTook: out.Duration}
	var refused *cache.Refusal
	switch {
	case errors.As(out.NotKept, &refused):
		r.Reason, r.Detail = string(refused.Reason), refused.Detail
	case out.NotKept != nil:
		r.Reason = out.NotKept.Error()
	}
	switch {
	case j.flags.asJSON:
		return printJSON(os.Stderr, r)
	case !j.flags.verbose:
	case out.Hit:
		from := ""
		if out.Remote {
			from = " from the remote store"
		}
		fmt.Fprintf(os.Stderr, "fstrace cache: restored%s in %v; the command took %v\n", from, round(took), round(out.Duration))
	case out.NotKept != nil:
		fmt.Fprintf(os.Stderr, "fstrace cache: not kept: %v\n", out.NotKept)
	default:
		fmt.Fprintf(os.Stderr, "fstrace cache: ran and kept; the command took %v\n", round(out.Duration))
	}
	return nil
}

func round(d time.Duration) time.Duration {
	if d > time.Second {
		return d.Round(10 * time.Millisecond)
	}
	return d.Round(10 * time.Microsecond)
}

func printJSON(to *os.File, v any) error {
	enc := json.NewEncoder(to)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
