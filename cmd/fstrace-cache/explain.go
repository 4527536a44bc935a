package main

import (
	"context"
	"fmt"
	"os"

	"github.com/fstrace/fstrace/cache"
	"github.com/fstrace/fstrace/cmd/internal/commandline"
	"github.com/fstrace/fstrace/events/manifest"
	"github.com/spf13/cobra"
)

const explainHelp = `explain reports whether run would find a result, and if not, which inputs differ from
those of the nearest earlier run. It runs nothing.

Exit status: 0, run would restore a result. 1, run would run the command. 2, unknown.`

func newExplain(f *flags, status *int) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "explain [flags] -- command [argument ...]",
		Short: "Report why a command would run",
		Long:  explainHelp,
		Args:  commandline.WantCommand("fstrace cache explain"),
		RunE: func(_ *cobra.Command, args []string) error {
			*status = exitUnsure
			j, err := newJob(f, args)
			if err != nil {
				return err
			}
			x, err := j.cache.Explain(context.Background(), j.task)
			if err != nil {
				return err
			}
			if *status = 0; !x.Hit {
				*status = exitDifferent
			}
			return printExplanation(f, x)
		},
	}
	f.addTaskFlags(cmd)
	return cmd
}

// A jsonExplanation is what explain --json prints.
type jsonExplanation struct {
	Hit         bool             `json:"hit"`
	Remote      bool             `json:"remote,omitempty"`
	Candidates  int              `json:"candidates"`
	Differences []jsonDifference `json:"differences"`
}

type jsonDifference struct {
	Reason manifest.Reason `json:"reason"`
	Path   string          `json:"path"`
	Detail string          `json:"detail,omitempty"`
	Added  []string        `json:"added,omitempty"`
	Gone   []string        `json:"gone,omitempty"`
}

func printExplanation(f *flags, x *cache.Explanation) error {
	if f.asJSON {
		w := jsonExplanation{x.Hit, x.Remote, x.Candidates, []jsonDifference{}}
		for _, d := range x.Differences {
			w.Differences = append(w.Differences, jsonDifference{d.Reason, d.Path, d.Detail, d.Added, d.Gone})
		}
		return printJSON(os.Stdout, w)
	}
	switch {
	case x.Hit && x.Remote:
		fmt.Println("would be restored from the remote store")
	case x.Hit:
		fmt.Println("would be restored")
	case x.Candidates == 0:
		fmt.Println("would run: no result of this command is kept, with these arguments, directory, environment, user, output and flags")
	case len(x.Differences) == 0:
		fmt.Println("would run: the inputs are as they were, but the result is no longer in the store")
	default:
		fmt.Println("would run: compared with the nearest earlier run,")
		for i := range x.Differences {
			fmt.Println(x.Differences[i].String())
		}
	}
	return nil
}
