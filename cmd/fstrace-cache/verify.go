package main

import (
	"context"
	"fmt"
	"os"

	"github.com/fstrace/fstrace/cache"
	"github.com/fstrace/fstrace/cmd/internal/commandline"
	"github.com/spf13/cobra"
)

const verifyHelp = `verify runs a command whose result is kept, and compares: a command that gives another
result from the same inputs is not deterministic, or depends on something that fstrace
does not see. If no result is kept, verify keeps that of the run.

Exit status: 0, the same. 1, different: verify prints a line for each difference. 2,
there was nothing to compare with, or the command could not be run.`

func newVerify(f *flags, status *int) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "verify [flags] -- command [argument ...]",
		Short: "Run a command again and compare the results",
		Long:  verifyHelp,
		Args:  commandline.WantCommand("fstrace cache verify"),
		RunE: func(_ *cobra.Command, args []string) error {
			*status = exitUnsure
			j, err := newJob(f, args)
			if err != nil {
				return err
			}
			v, err := j.cache.Verify(context.Background(), j.task, j.run)
			if err != nil {
				return err
			}
			switch {
			case v.Found && len(v.Differences) == 0:
				*status = 0
			case v.Found:
				*status = exitDifferent
			}
			return printVerification(f, v)
		},
	}
	f.addTaskFlags(cmd)
	return cmd
}

func printVerification(f *flags, v *cache.Verification) error {
	if f.asJSON {
		w := struct {
			Found       bool     `json:"found"`
			Differences []string `json:"differences"`
		}{v.Found, append([]string{}, v.Differences...)}
		return printJSON(os.Stdout, w)
	}
	switch {
	case v.Found && len(v.Differences) == 0:
		fmt.Fprintln(os.Stderr, "fstrace cache: the same result")
	case v.Found:
		for _, line := range v.Differences {
			fmt.Println(line)
		}
	case v.NotKept != nil:
		fmt.Fprintf(os.Stderr, "fstrace cache: nothing to compare with, and not kept: %v\n", v.NotKept)
	default:
		fmt.Fprintln(os.Stderr, "fstrace cache: nothing to compare with; the result is kept now: run verify again")
	}
	return nil
}
