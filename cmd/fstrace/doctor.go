package main

import (
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

const doctorHelp = `doctor tests what fstrace needs from this machine, as this user and in this environment
(for example a container, or another fstrace). It also traces a command that does
nothing. It prints a line for each finding:

  ok       it works
  note     traces are complete, but behaviour differs from most machines
  gap      traces are incomplete, or have duplicates; the line says how
  missing  nothing can be traced

Exit status: 0 if traces are complete; 1 if they are not; 2 if nothing can be traced.
docs/doctor.md explains each line and its remedy.`

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

// verdicts are the exit status and the summary, by the most severe finding.
var verdicts = map[weight]struct {
	status        int
	word, summary string
}{
	weightOK:      {0, "complete", "traces are complete here"},
	weightNote:    {0, "complete", "traces are complete here"},
	weightGap:     {1, "gaps", "traces are incomplete here"},
	weightMissing: {2, "none", "nothing can be traced here"},
}

func newDoctor(status *int) *cobra.Command {
	var socket string
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "doctor",
		Short:   "Report what this machine allows and what a trace would miss",
		Long:    doctorHelp,
		Example: "  fstrace doctor || echo 'fstrace cannot record everything here'",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			list := examine(socket)
			worst := mostSevere(list)
			*status = verdicts[worst].status
			if asJSON {
				return writeJSON(os.Stdout, map[string]any{"traces": verdicts[worst].word, "findings": list})
			}
			return writeFindings(os.Stdout, list, verdicts[worst].summary)
		},
	}
	socketFlag(cmd, &socket)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	ownFlagErrors(cmd)
	return cmd
}

// examine looks at everything, what is needed first.
func examine(socket string) []finding {
	list := []finding{findKernel(), findProc()}
	list = append(list, findSeccomp()...)
	list = append(list, findMemfd())
	list = append(list, findTracing()...)
	return append(list, findPrivileges(), findIOUring(), findSignalsKept(), findDaemon(socket), findRecorder(), findTrace())
}

// mostSevere returns the weight that decides the exit status.
func mostSevere(list []finding) weight {
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
