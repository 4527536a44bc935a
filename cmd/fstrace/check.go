package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/fstrace/fstrace/cmd/internal/commandline"
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

const checkHelp = `check reports whether the command of a manifest must run again. It answers one of two
questions:

  check             Is everything as the command left it? If so, there is nothing to run.
  check --as-found  Is everything that the command used as the command found it? If so,
                    another run would do the same. Use this in a cache that restores
                    outputs.

Exit status: 0, valid: nothing has changed. 1, stale: check prints a line for each
reason. 2, unknown: the manifest is incomplete, damaged or of a newer version, or a file
cannot be read.`

// checkFlags as given.
type checkFlags struct {
	asFound, ignoreFormer, inputsOnly bool
	times                             manifest.Times
	hermetic                          string
	refuse                            []manifest.ExternalKind
	root                              string
	allowIncomplete, asJSON           bool
}

func newCheck(status *int) *cobra.Command {
	f := &checkFlags{}
	cmd := &cobra.Command{
		Use:     "check MANIFEST ...",
		Short:   "Report whether a command must run again",
		Long:    checkHelp,
		Example: checkExamples,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				*status = exitUnsure
				return errors.New("check: no MANIFEST given; see fstrace check --help")
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			err := f.parse()
			if err != nil {
				*status = exitUnsure
				return err
			}
			*status = f.run(args)
			return nil
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.BoolVar(&f.asFound, "as-found", false, "compare everything as the command found it, not as it left it")
	flags.BoolVar(&f.ignoreFormer, "ignore-former-outputs", false, "with --as-found: ignore former contents of output paths, unless the command read them")
	flags.TextVar(&f.times, "times", manifest.TimesAuto, "`POLICY` for times: auto, compare times of files that the command did stat(2) and did not read; strict, all times that it got; ignore, none")
	flags.StringVar(&f.hermetic, "hermetic", "", "exit with 2 if the command may have used an external source: one of `KINDS`, or any")
	flags.Lookup("hermetic").NoOptDefVal = "all"
	flags.BoolVar(&f.allowIncomplete, "allow-incomplete", false, "compare an incomplete manifest; valid then promises less")
	flags.BoolVar(&f.inputsOnly, "inputs-only", false, "")
	_ = flags.MarkDeprecated("inputs-only", "use --as-found, which compares every path as the command found it")
	flags.StringVar(&f.root, "root", "", "look in `DIR` for paths below the manifest's root, or below the command's working directory")
	flags.BoolVar(&f.asJSON, "json", false, "print one JSON object for each manifest")
	completeWords(cmd, "times", "auto", "strict", "ignore")
	failsWith(cmd, status, exitUnsure)
	return cmd
}

const checkExamples = `  fstrace -f manifest -o build.json -- make
  fstrace check build.json || make
  fstrace check --as-found --ignore-former-outputs cached/*.json`

// parse checks the flags.
func (f *checkFlags) parse() error {
	if f.inputsOnly {
		f.asFound = true
	}
	if f.ignoreFormer && !f.asFound {
		return errors.New("check: --ignore-former-outputs: requires --as-found")
	}
	kinds := manifest.ExternalKinds()
	switch f.hermetic {
	case "":
	case "all":
		f.refuse = kinds
	default:
		for _, word := range strings.Split(f.hermetic, ",") {
			if !slices.Contains(kinds, manifest.ExternalKind(word)) {
				return fmt.Errorf("check: --hermetic=%s: %q must be one of %v, or all", f.hermetic, word, kinds)
			}
			f.refuse = append(f.refuse, manifest.ExternalKind(word))
		}
	}
	return nil
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

// run compares the manifests and returns the exit status: the worst of theirs.
func (f *checkFlags) run(names []string) int {
	// What is alive is little: the collector may wait until there are 64 MB of garbage.
	debug.SetGCPercent(1600)
	check := manifest.CheckDocument
	if len(names) > 1 {
		check = manifest.NewChecker().CheckDocument
	}
	cache := manifest.UserCache()
	worst := exitSame
	for _, name := range names {
		list, err := f.compare(name, cache, check)
		status := exitSame
		switch {
		case err != nil:
			status = exitUnsure
		case len(list) > 0:
			status = exitDifferent
		}
		if err := f.report(name, len(names) > 1, list, err); err != nil {
			fmt.Fprintf(os.Stderr, "fstrace: check: %v\n", err)
			status = exitUnsure
		}
		worst = max(worst, status)
	}
	return worst
}

// compare compares one manifest.
func (f *checkFlags) compare(name string, cache *manifest.Cache, check checkFunc) ([]manifest.Difference, error) {
	o := manifest.CheckOptions{
		Cache: cache, AsFound: f.asFound, IgnoreFormerOutputs: f.ignoreFormer, Times: f.times, Refuse: f.refuse,
		AllowIncomplete: f.allowIncomplete, File: recordPath(name),
	}
	if f.root != "" {
		var err error
		if o.Root, err = commandline.RealDirectory(f.root); err != nil {
			return nil, fmt.Errorf("--root %s: %w", f.root, err)
		}
	}
	return readManifest(name, func(r io.Reader) ([]manifest.Difference, error) { return check(r, o) })
}

type checkFunc func(io.Reader, manifest.CheckOptions) ([]manifest.Difference, error)

// report prints the answer for one manifest, of several if named is set.
func (f *checkFlags) report(name string, named bool, list []manifest.Difference, failed error) error {
	if f.asJSON {
		result := ipc.NewCheckResult(list, failed)
		enc := json.NewEncoder(os.Stdout)
		enc.SetEscapeHTML(false)
		if !named {
			return enc.Encode(result)
		}
		return enc.Encode(struct {
			Manifest string `json:"manifest"`
			*ipc.CheckResult
		}{name, result})
	}
	if failed != nil {
		fmt.Fprintf(os.Stderr, "fstrace: check: %v\n", failed)
	}
	prefix := ""
	if named {
		prefix = name + ": "
	}
	for i := range list {
		if _, err := fmt.Println(prefix + list[i].String()); err != nil {
			return err
		}
	}
	return nil
}
