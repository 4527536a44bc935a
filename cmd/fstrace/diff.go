package main

import (
	"fmt"
	"os"

	"github.com/fstrace/fstrace/events/manifest"
	"github.com/spf13/cobra"
)

const diffHelp = `diff lists the inputs and outputs that differ between two manifests: "-" only in A,
"+" only in B, "!" in another state in B.

Exit status: 0 if there is no difference; 1 if there is; 2 if a manifest cannot be read.`

func newDiff(status *int) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "diff A B",
		Short: "List the inputs and outputs that differ between two manifests",
		Long:  diffHelp,
		Args:  wantArguments(status, "A", "B"),
		RunE: func(_ *cobra.Command, args []string) error {
			a, err := readManifest(args[0], manifest.DecodeCompared)
			var b *manifest.Manifest
			if err == nil {
				b, err = readManifest(args[1], manifest.DecodeCompared)
			}
			if err != nil {
				fmt.Fprintf(os.Stderr, "fstrace: diff: %v\n", err)
				*status = exitUnsure
				return nil
			}
			for _, c := range manifest.Diff(a, b) {
				*status = exitDifferent
				if _, err := fmt.Println(c.String()); err != nil {
					*status = exitUnsure
					return err
				}
			}
			return nil
		},
	}
	failsWith(cmd, status, exitUnsure)
	return cmd
}
