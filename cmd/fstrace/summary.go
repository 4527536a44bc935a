package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/events/summary"
	"github.com/spf13/cobra"
)

const summaryHelp = `summary prints what a record of the format jsonl says, in a few lines: how long the
command ran, how many processes it had, how many files they read and wrote, and how many
lookups found nothing. Then it lists the files that were read most often, the paths that
were not found most often, and the processes that ran longest. "-" is standard
input.

Exit status: 0; 2 if the record cannot be read, or is cut off.`

func newSummary(status *int) *cobra.Command {
	var top int
	cmd := &cobra.Command{
		Use:     "summary RECORD",
		Short:   "Sum up a record: times, counts, and the most accessed paths",
		Long:    summaryHelp,
		Example: "  fstrace -f jsonl -o trace.jsonl -- make\n  fstrace summary trace.jsonl",
		Args:    wantArguments(status, "RECORD"),
		RunE: func(_ *cobra.Command, args []string) error {
			if top < 0 {
				*status = exitUnsure
				return fmt.Errorf("summary: --top %d: must not be negative", top)
			}
			err := sumUp(os.Stdout, args[0], top)
			if err != nil {
				*status = exitUnsure
				return fmt.Errorf("summary: %w", err)
			}
			return nil
		},
	}
	cmd.Flags().IntVar(&top, "top", 10, "list `N` paths and processes of each kind")
	failsWith(cmd, status, exitUnsure)
	return cmd
}

// sumUp prints the summary of a record. If the record is cut off, it prints what there
// is.
func sumUp(w io.Writer, name string, top int) error {
	f := os.Stdin
	if name != "-" {
		var err error
		if f, err = os.Open(name); err != nil {
			return err
		}
		defer f.Close()
	}
	s := &summary.Summary{KeepPaths: true}
	err := replay(s, f)
	if err != nil {
		err = fmt.Errorf("%s: %w", events.Quote(name), err)
	}
	if err != nil && !errors.Is(err, events.ErrCutOff) {
		return err
	}
	return errors.Join(s.WriteText(w, top), err)
}

// replay gives a record of the format jsonl to a summary.
func replay(s *summary.Summary, r io.Reader) error {
	d := events.NewDecoder(r)
	h, err := d.Header()
	if err != nil {
		return fmt.Errorf("no record of the format jsonl, as -f jsonl writes it: %w", err)
	}
	_ = s.Begin(h) // it never fails
	for {
		e, err := d.Next()
		switch {
		case err == io.EOF:
			return s.End(d.Trailer())
		case errors.Is(err, events.ErrCutOff):
			s.CutOff()
			return err
		case err != nil:
			return err
		}
		_ = s.Event(e)
	}
}

// A summingSink passes a record on, and sums it up for -v.
type summingSink struct {
	events.Sink
	sum events.Sink // it never fails
}

// summing returns a sink that sums up what the filters leave, too.
func summing(sink events.Sink, f *flags) (events.Sink, *summary.Summary, error) {
	sum := new(summary.Summary)
	filtered, err := events.Filter(sum, f.only, f.ignore)
	return &summingSink{sink, filtered}, sum, err
}

func (s *summingSink) Begin(h *events.Header) error {
	_ = s.sum.Begin(h)
	return s.Sink.Begin(h)
}

func (s *summingSink) Event(e *events.Event) error {
	_ = s.sum.Event(e)
	return s.Sink.Event(e)
}

func (s *summingSink) End(t *events.Trailer) error {
	_ = s.sum.End(t)
	return s.Sink.End(t)
}

// sumLines returns a writer that sums up the lines of a record, and a function that waits
// for that at the end of the lines.
func sumLines(s *summary.Summary) (io.Writer, func()) {
	r, w := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = replay(s, r) // the lines themselves are written whatever they are
		_, _ = io.Copy(io.Discard, r)
	}()
	return w, func() {
		w.Close()
		<-done
	}
}
