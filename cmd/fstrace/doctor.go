package main

import (
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

const doctorHelp = `doctor tries out what fstrace needs of this machine, for this user, at this place
(a container, another fstrace above), and traces a command that does nothing. It prints
a line for each thing:

  ok       it works
  note     a trace is complete, but something is otherwise than elsewhere
  gap      traces are incomplete, or see more than there was: it says how
  missing  nothing can be traced

Exit status: 0 if traces are complete here; 1 if they have gaps; 2 if nothing can be
traced. docs/doctor.md has each line with its remedy.`

// A finding is what one look at the machine has brought.
type finding struct {
	Name   string `json:"name"`
	State  weight `json:"state"`
	Found  string `json:"found,omitempty"`  // what is there, or the error
	Effect string `json:"effect,omitempty"` // what follows from it, unless it is ok
}

// A weight says how much a finding matters.
type weight string

const (
	weightOK      weight = "ok"
	weightNote    weight = "note"
	weightGap     weight = "gap"
	weightMissing weight = "missing"
)

// verdicts are the exit status and the summary of the heaviest finding.
var verdicts = map[weight]struct {
	status        int
	word, summary string
}{
	weightOK:      {0, "complete", "traces are complete here"},
	weightNote:    {0, "complete", "traces are complete here"},
	weightGap:     {1, "gaps", "traces have gaps here"},
	weightMissing: {2, "none", "nothing can be traced here"},
}

func newDoctor(status *int) *cobra.Command {
	var socket string
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "doctor",
		Short:   "Tell what this machine allows, and what a trace here would miss",
		Long:    doctorHelp,
		Example: "  fstrace doctor || echo 'fstrace cannot record everything here'",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			list := examine(socket)
			heaviest := heaviest(list)
			*status = verdicts[heaviest].status
			if asJSON {
				return writeJSON(os.Stdout, map[string]any{"traces": verdicts[heaviest].word, "findings": list})
			}
			return writeFindings(os.Stdout, list, verdicts[heaviest].summary)
		},
	}
	socketFlag(cmd, &socket)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	ownFlagErrors(cmd)
	return cmd
}

// examine looks at everything, what is needed first.
func examine(socket string) []finding {
	list := []finding{findKernel()}
	list = append(list, findSeccomp()...)
	list = append(list, findTracing()...)
	return append(list, findPrivileges(), findIOUring(), findSignalsKept(), findDaemon(socket), findTrace())
}

func heaviest(list []finding) weight {
	order := []weight{weightMissing, weightGap, weightNote}
	for _, w := range order {
		for i := range list {
			if list[i].State == w {
				return w
			}
		}
	}
	return weightOK
}

func writeFindings(w io.Writer, list []finding, summary string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for i := range list {
		f := &list[i]
		text := f.Found
		if f.Effect != "" {
			if text != "" {
				text += ": "
			}
			text += f.Effect
		}
		fmt.Fprintf(t, "%s\t%s\t%s\n", f.State, f.Name, text)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, summary)
	return err
}
