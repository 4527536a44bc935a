package main

import (
	"fmt"
	"io"
	"math"
)

// A target is what fstrace means to reach, and what this run says of it.
type target struct {
	what     string
	limit    float64
	least    bool // the limit is a lower one
	measured float64
}

func (t *target) met() bool {
	if t.least {
		return t.measured >= t.limit
	}
	return t.measured <= t.limit
}

// atMost adds a target. Without a measurement there is none.
func (r *report) atMost(limit, measured float64, what string) {
	r.add(target{what: what, limit: limit, measured: measured})
}

func (r *report) atLeast(limit, measured float64, what string) {
	r.add(target{what: what, limit: limit, measured: measured, least: true})
}

func (r *report) add(t target) {
	if !math.IsNaN(t.measured) {
		r.targets = append(r.targets, t)
	}
}

func writeTargets(w io.Writer, targets []target) {
	if len(targets) == 0 {
		return
	}
	met := 0
	for i := range targets {
		if targets[i].met() {
			met++
		}
	}
	fmt.Fprintf(w, "\n## Targets\n\n%d of %d are met in this run.\n", met, len(targets))
	fmt.Fprint(w, "\n| target | wanted | measured | |\n|---|--:|--:|---|\n")
	for i := range targets {
		t := &targets[i]
		limit, verdict := "≤ ", "met"
		if t.least {
			limit = "≥ "
		}
		if !t.met() {
			verdict = "**not met**"
		}
		fmt.Fprintf(w, "| %s | %s%g | %s | %s |\n", t.what, limit, t.limit, number(t.measured), verdict)
	}
}
