package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime/debug"

	"github.com/fstrace/fstrace/events/manifest"
	"github.com/fstrace/fstrace/ipc"
	"github.com/spf13/cobra"
)

// Exit statuses of the commands that compare.
const (
	exitSame      = 0
	exitDifferent = 1
	exitUnsure    = 2
)

const checkHelp = `check reports whether the command of a manifest must run again. It asks one of two
questions:

  check             Is everything as the command left it? Then there is nothing to run.
  check --as-found  Is everything that the command learned as it was when the command
                    started? Then a run would do the same. A cache that restores
                    outputs asks this.

Exit status: 0 if so; 1 if not, with a line for each reason; 2 if it cannot be told:
the manifest is incomplete, damaged or of a newer version, or a file cannot be read.`

// checkFlags as given.
type checkFlags struct {
	allowIncomplete, asFound, ignoreFormer, inputsOnly, asJSON bool
	times                                                      manifest.Times
	root                                                       string
}

func newCheck(status *int) *cobra.Command {
	f := &checkFlags{}
	cmd := &cobra.Command{
		Use:     "check MANIFEST",
		Short:   "Report whether a command's inputs and outputs are as they were",
		Long:    checkHelp,
		Example: "  fstrace -f manifest -o build.json -- make\n  fstrace check build.json || make",
		Args:    wantArguments(status, "MANIFEST"),
		RunE: func(_ *cobra.Command, args []string) error {
			*status = f.run(args[0])
			return nil
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.BoolVar(&f.allowIncomplete, "allow-incomplete", false, "compare a manifest that may miss something; valid then means less")
	flags.BoolVar(&f.asFound, "as-found", false, "ask whether a run would do the same, not whether the outputs are there")
	flags.BoolVar(&f.ignoreFormer, "ignore-former-outputs", false, "with --as-found: what stood in the place of outputs does not count, unless the command read it")
	flags.TextVar(&f.times, "times", manifest.TimesAuto, "which times `POLICY` counts: auto, those of files that were asked for and not read; strict, all that the command was told; ignore, none")
	flags.BoolVar(&f.inputsOnly, "inputs-only", false, "")
	_ = flags.MarkDeprecated("inputs-only", "it is --as-found now, which compares every path as the command found it")
	flags.StringVar(&f.root, "root", "", "look in `DIR` for what was below the manifest's root, or the command's working directory")
	flags.BoolVar(&f.asJSON, "json", false, "print one JSON object")
	failsWith(cmd, status, exitUnsure)
	return cmd
}

// wantArguments insists on the arguments of these names. A command line that is
// wrong must not look like an answer.
func wantArguments(status *int, names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == len(names) {
			return nil
		}
		*status = exitUnsure
		return fmt.Errorf("%s: %d arguments, want %d: %v", cmd.Name(), len(args), len(names), names)
	}
}

// failsWith has a wrong flag end fstrace with that status.
func failsWith(cmd *cobra.Command, status *int, code int) {
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		*status = code
		return fmt.Errorf("%w; see fstrace %s --help", err, cmd.Name())
	})
}

// run compares and returns the exit status.
func (f *checkFlags) run(name string) int {
	list, err := f.compare(name)
	status := exitSame
	switch {
	case err != nil:
		status = exitUnsure
	case len(list) > 0:
		status = exitDifferent
	}
	if f.asJSON {
		return f.print(status, list, err)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "fstrace: check: %v\n", err)
	}
	for i := range list {
		if _, err := fmt.Println(list[i].String()); err != nil {
			return exitUnsure
		}
	}
	return status
}

func (f *checkFlags) compare(name string) ([]manifest.Difference, error) {
	// What is decoded is needed until the end: there is little garbage to collect.
	debug.SetGCPercent(400)
	m, err := readManifest(name, manifest.DecodeCompared)
	if err != nil {
		return nil, err
	}
	o := manifest.CheckOptions{
		Cache: manifest.UserCache(), AsFound: f.asFound || f.inputsOnly, IgnoreFormerOutputs: f.ignoreFormer,
		Times: f.times, AllowIncomplete: f.allowIncomplete, File: recordPath(name),
	}
	if f.root != "" {
		if o.Root, err = realDirectory(f.root); err != nil {
			return nil, fmt.Errorf("--root %s: %w", f.root, err)
		}
	}
	list, err := manifest.Check(m, o)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return list, nil
}

// print prints the answer, and returns the exit status.
func (f *checkFlags) print(status int, list []manifest.Difference, err error) int {
	enc := json.NewEncoder(os.Stdout)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(ipc.NewCheckResult(list, err)); err != nil {
		fmt.Fprintf(os.Stderr, "fstrace: check: %v\n", err)
		return exitUnsure
	}
	return status
}
