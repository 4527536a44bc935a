package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"

	"github.com/fstrace/fstrace/cmd/internal/commandline"
	"github.com/fstrace/fstrace/events/manifest"
	"github.com/spf13/cobra"
)

// Exit statuses besides those of the command. As in fstrace, 125 means that the program
// itself failed.
const (
	exitFailed    = 125
	exitDifferent = 1
	exitUnsure    = 2
)

const longHelp = `fstrace cache runs a command once and keeps what it made. The next time, if everything
that the command looked at is as it was, the outputs are restored, the output is printed
and the exit status returned, without running it.

A command is not kept if its record is incomplete, if it failed, if it used the network,
or if it wrote outside of the working directory; "run -v" and "explain" give the reason. The
clock, the processor and system calls that name no file are not seen: "verify" finds
commands that are not deterministic.`

const examples = `  fstrace cache run -- gcc -c main.c       run, or restore main.o
  fstrace cache explain -- gcc -c main.c   why that would run: each input that differs
  fstrace cache verify -- gcc -c main.c    run again and compare
  fstrace cache stats
  fstrace cache gc --max-size 5G`

// execute runs the command line and returns the exit status.
func execute(args []string) int {
	status := 0
	root := newRoot(&status)
	root.SetArgs(args)
	if err := root.Execute(); err != nil {
		fmt.Fprintf(os.Stderr, "fstrace cache: %v\n", err)
		return cmp.Or(status, exitFailed)
	}
	return status
}

func newRoot(status *int) *cobra.Command {
	f := &flags{}
	root := &cobra.Command{
		Use:           "fstrace-cache",
		Short:         "Skip a command that would do the same again",
		Long:          longHelp,
		Example:       examples,
		Version:       commandline.Version(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return errors.New("no subcommand: run, explain, verify, stats or gc; see fstrace cache --help")
		},
	}
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	root.CompletionOptions.DisableDefaultCmd = true
	flags := root.PersistentFlags()
	flags.SortFlags = false
	flags.StringVar(&f.dir, "dir", "", "keep results in `DIR` ($FSTRACE_CACHE_DIR, or fstrace/results in the user's cache directory)")
	flags.BoolVar(&f.asJSON, "json", false, "print one JSON object: with run, on standard error at the end")
	root.AddCommand(newRun(f, status), newExplain(f, status), newVerify(f, status), newStats(f), newCollect(f))
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w; see fstrace cache %s --help", err, cmd.Name())
	})
	return root
}

// addTaskFlags adds the flags that say how a task is found.
func (f *flags) addTaskFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.root, "root", "", "find results also if `DIR` is elsewhere: paths below it are relative to it")
	flags.StringArrayVar(&f.maps, "map", nil, "the same for another directory: `NAME=DIR`; repeatable")
	flags.StringArrayVar(&f.env, "env", nil, "run the command with only PATH and the variable `NAME`; repeatable (default: all variables)")
	flags.BoolVar(&f.stdin, "stdin", false, "read all of standard input first, and give it to the command (default: /dev/null)")
	flags.TextVar(&f.times, "times", manifest.TimesAuto, "`POLICY` for times: auto, compare times of files that the command did stat(2) and did not read; strict, all times that it got; ignore, none")
	flags.BoolVar(&f.ignoreFormer, "ignore-former-outputs", false, "ignore what was at the paths of outputs before, unless the command read it: for compilers")
	flags.StringSliceVar(&f.allow, "allow", nil, "keep results although the command used an external source of these `KINDS`: random, attributes, network, …")
	flags.BoolVar(&f.allowOutside, "allow-outside", false, "keep and restore outputs outside of --root, or of the working directory")
	flags.BoolVar(&f.keepFailures, "keep-failures", false, "keep results of commands that exit with another status than 0")
	flags.BoolVar(&f.touch, "touch", false, "set the time of outputs that are already right, for make")
	f.remote.add(flags)
	flags.BoolVarP(&f.verbose, "verbose", "v", false, "print whether the result was found, and why it was not kept")
	flags.BoolVarP(&f.quiet, "quiet", "q", false, "print no warnings")
	cmd.MarkFlagsMutuallyExclusive("quiet", "verbose")
}
