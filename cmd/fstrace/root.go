package main

import (
	"cmp"
	"fmt"
	"os"
	"time"

	"github.com/fstrace/fstrace/cmd/internal/commandline"
	"github.com/fstrace/fstrace/cmd/internal/signals"
	"github.com/spf13/cobra"
)

// exitFailed is fstrace's own failure, different from any that a command is
// likely to have; 126 and 127 are as shells use them.
const exitFailed = 125

// flags of a run, as given.
type flags struct {
	output, format string
	depTargets     []string
	phony          bool
	root           string
	only, ignore   []string
	ioUring, wait  string
	recorder       string
	lifecycle      string
	timeout        time.Duration
	killAfter      time.Duration
	connect        string
	quiet, verbose bool
	compact        bool
	envValues      bool
}

// execute runs the command line and returns the exit status.
func execute(args []string) int {
	status := 0
	root := newRoot(&status)
	root.SetArgs(args)
	if err := root.Execute(); err != nil {
		fmt.Fprintf(os.Stderr, "fstrace: %v\n", err)
		return cmp.Or(status, exitFailed)
	}
	return status
}

const longHelp = `fstrace runs a command unchanged and records every file access of the command and
of all its descendants: what they read, wrote, listed and executed, and what they
looked up and did not find. The record says whether it is complete, and if not, why.

The exit status is that of the command. If a signal killed the command, fstrace ends
by the same signal. 125 means that fstrace itself failed, 126 that the command cannot
be executed, 127 that the command was not found.`

const examples = `  fstrace -- cat /etc/hostname              a line per distinct access, on standard error
  fstrace -f jsonl -o trace.jsonl -- make   every access, as JSON lines
  fstrace -f manifest -o m.json -- make     what it depends on; then: fstrace check m.json
  fstrace -f depfile --depfile-target out.o -o out.d -- gcc -c in.c -o out.o
  fstrace --ignore '/usr/**' -- ./configure
  fstrace --connect -- make                 fstraced records it; the terminal stays yours`

func newRoot(status *int) *cobra.Command {
	f := &flags{}
	root := &cobra.Command{
		Use:           "fstrace [flags] -- command [argument ...]",
		Short:         "Record every file access of a command",
		Long:          longHelp,
		Example:       examples,
		Version:       commandline.Version(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          commandline.WantCommand("fstrace"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("connect") {
				c, err := newConnected(f, args)
				if err == nil {
					*status = c.execute()
				}
				return err
			}
			var caught *signals.Signals
			if opensAtOnce(f.output) { // else it must be possible to interrupt that
				caught = signals.Catch()
			}
			r, err := newRun(f, args)
			if err != nil {
				return err
			}
			if caught == nil {
				caught = signals.Catch()
			}
			*status = r.run(caught)
			return nil
		},
	}
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	flags := root.Flags()
	flags.SortFlags = false
	flags.StringVarP(&f.output, "output", "o", "", "write the record to `FILE`, all of it or nothing; \"-\" is standard output (default standard error)")
	flags.StringVarP(&f.format, "format", "f", "text", "`FORMAT` of the record: text, jsonl, manifest or depfile")
	flags.StringArrayVar(&f.depTargets, "depfile-target", nil, "`TARGET` of the depfile's rule; repeatable")
	flags.BoolVar(&f.phony, "phony", false, "write an empty rule for each prerequisite of the depfile, so that make does not fail if one is removed")
	flags.StringVar(&f.root, "root", "", "write paths of the manifest that are below `DIR` relative to it")
	flags.BoolVar(&f.compact, "compact", false, "omit processes and accesses from the manifest")
	flags.BoolVar(&f.envValues, "env-values", false, "write environment values into the manifest, not only their digests")
	flags.StringArrayVar(&f.ignore, "ignore", nil, "do not report paths that match `GLOB`; repeatable")
	flags.StringArrayVar(&f.only, "only", nil, "report only paths that match `GLOB`; repeatable")
	flags.StringVar(&f.wait, "wait", "root", "`WHO` to wait for: root, the command; all, its last descendant too")
	flags.StringVar(&f.lifecycle, "lifecycle", "ptrace", "`HOW` to follow processes: ptrace, or notify for commands that must not be ptraced")
	flags.StringVar(&f.ioUring, "io-uring", "deny", "`POLICY` for io_uring: deny, calls fail with ENOSYS; allow, the record is incomplete if a program uses it")
	flags.StringVar(&f.recorder, "recorder", defaultRecorder, "`WHETHER` processes record some of their own calls: auto, where that is possible; off (docs/recorder.md)")
	flags.DurationVar(&f.timeout, "timeout", 0, "send SIGTERM to the command and all its descendants after `D` (30s, 5m); 0 means never")
	flags.DurationVar(&f.killAfter, "kill-after", 10*time.Second, "send SIGKILL to processes that are left `D` after the timeout")
	flags.StringVar(&f.connect, "connect", "", "let fstraced at `SOCKET` record the command ($XDG_RUNTIME_DIR/fstrace/socket)")
	flags.Lookup("connect").NoOptDefVal = defaultSocket
	flags.BoolVarP(&f.quiet, "quiet", "q", false, "print no warnings, only errors that make fstrace fail")
	flags.BoolVarP(&f.verbose, "verbose", "v", false, "print at the end what was recorded, in five lines")
	root.MarkFlagsMutuallyExclusive("quiet", "verbose")
	completeWords(root, "format", "text", "jsonl", "manifest", "depfile")
	completeWords(root, "wait", "root", "all")
	completeWords(root, "lifecycle", "ptrace", "notify")
	completeWords(root, "recorder", "auto", "off")
	completeWords(root, "io-uring", "deny", "allow")
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddCommand(newCheck(status), newWhy(status), newDiff(status), newSummary(status),
		newSessions(), newWatch(), newKill(), newCache(), newDoctor(status), newCompletion())
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		return fmt.Errorf("%w; see fstrace --help", err)
	})
	return root
}

func completeWords(cmd *cobra.Command, flag string, words ...string) {
	err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
	if err != nil {
		panic(err) // a flag that does not exist
	}
}

// defaultRecorder is the default of --recorder. Tests set it by -ldflags=-X.
var defaultRecorder = "off"
