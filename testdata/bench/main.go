// Bench measures what fstrace costs, beside the same commands run bare, under
// strace, and under the least that a supervisor can be, and writes the result as a
// document:
//
//	go run ./testdata/bench [flags]
//
// What is compared with each other is run in turns, A B A B, so that what changes in
// the machine meanwhile changes them all, and told as ratios: those say the same on
// another machine, where nanoseconds do not.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// The options of a run.
type options struct {
	match  *regexp.Regexp
	count  int
	long   bool
	scale  float64
	output string
	strace string
	binary string
}

// partial reports whether this run's document lacks something that the one in the
// repository has.
func (o *options) partial() bool { return o.match.String() != "" || o.scale < 1 }

func parseOptions(args []string) (*options, error) {
	o := new(options)
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	run := flags.String("run", "", "only the benchmarks whose name matches `regexp`")
	flags.IntVar(&o.count, "count", 5, "run each `n` times and take the median")
	flags.BoolVar(&o.long, "long", false, "ten times as many events where their number matters: 10 million over few paths, 5 million in a file")
	flags.Float64Var(&o.scale, "scale", 1, "make all of it smaller by this `factor`, to try the program itself")
	flags.StringVar(&o.output, "o", "", "write the document to `file` (docs/benchmarks.md if nothing is left out)")
	flags.StringVar(&o.strace, "strace", "strace", "the strace to compare with; none for none")
	flags.StringVar(&o.binary, "fstrace", "", "measure this `program` instead of one built from the source")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	match, err := regexp.Compile(*run)
	switch {
	case err != nil:
		return nil, fmt.Errorf("-run: %w", err)
	case flags.NArg() > 0:
		return nil, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case o.count < 1 || o.scale <= 0 || o.scale > 1:
		return nil, errors.New("-count is at least 1, -scale above 0 and at most 1")
	}
	o.match = match
	return o, nil
}

// benchmarks are all there is, in the document's order.
var benchmarks = []func(*lab, *report) error{
	benchCalls,
	benchProcesses,
	benchLaunch,
	benchWork,
	benchFormats,
	benchCheck,
	benchCache,
	benchPaths,
	benchEvents,
	benchTracees,
	benchEncoder,
}

func run(ctx context.Context, o *options) (err error) {
	begun := time.Now()
	l, err := newLab(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(l.dir)) }()

	r := &report{machine: describeMachine(l), options: o}
	for _, bench := range benchmarks {
		if err := bench(l, r); err != nil {
			return err
		}
	}
	r.took = time.Since(begun)

	var text strings.Builder
	r.write(&text)
	fmt.Print(text.String())
	name := o.output
	if name == "" {
		if o.partial() {
			return nil
		}
		name = filepath.Join(l.root, "docs", "benchmarks.md")
	}
	return os.WriteFile(name, []byte(text.String()), 0o644)
}

func main() {
	o, err := parseOptions(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		err = run(ctx, o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}
