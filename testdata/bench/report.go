package main

import (
	"fmt"
	"io"
	"math"
	"strings"
	"time"
	"unicode/utf8"
)

// A report is the document in the making.
type report struct {
	machine  machine
	options  *options
	took     time.Duration
	targets  []target
	sections []*section
}

// A section is one table, with a few words around it.
type section struct {
	title string
	intro string
	head  []string // the first column is text, the others are numbers
	rows  [][]string
	notes []string
}

// section begins a table. It is left out of the document if it gets no rows.
func (r *report) section(title, intro string, head ...string) *section {
	s := &section{title: title, intro: intro, head: head}
	r.sections = append(r.sections, s)
	return s
}

func (s *section) row(cells ...string) { s.rows = append(s.rows, cells) }

func (s *section) note(format string, args ...any) {
	s.notes = append(s.notes, fmt.Sprintf(format, args...))
}

// wrap breaks the lines of paragraphs at 100 columns, as in all documents.
func wrap(text string) string {
	const width = 100
	var paragraphs []string
	for _, p := range strings.Split(text, "\n\n") {
		if strings.Contains(p, "\n|") || strings.HasPrefix(p, "|") {
			paragraphs = append(paragraphs, p)
			continue
		}
		var b strings.Builder
		column := 0
		for _, word := range strings.Fields(p) {
			switch n := utf8.RuneCountInString(word); {
			case column == 0:
				column = n
			case column+1+n > width:
				b.WriteByte('\n')
				column = n
			default:
				b.WriteByte(' ')
				column += 1 + n
			}
			b.WriteString(word)
		}
		paragraphs = append(paragraphs, b.String())
	}
	return strings.Join(paragraphs, "\n\n")
}

func (s *section) write(w io.Writer) {
	if len(s.rows) == 0 && len(s.notes) == 0 {
		return
	}
	fmt.Fprintf(w, "\n## %s\n\n%s\n", s.title, wrap(strings.TrimSpace(s.intro)))
	if len(s.rows) > 0 {
		fmt.Fprintf(w, "\n| %s |\n|---|%s\n", strings.Join(s.head, " | "), strings.Repeat("--:|", len(s.head)-1))
	}
	for _, cells := range s.rows {
		fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | "))
	}
	for _, note := range s.notes {
		fmt.Fprintf(w, "\n%s\n", note)
	}
}

const preamble = `# Benchmarks

` + "`make bench`" + ` writes this page; do not edit it. Variants ran in turns, A B A B, %s, and the
numbers are medians. A ratio is the median of the ratios of all rounds, so it differs slightly
from the quotient of the numbers beside it. Compare ratios between machines, not times.
%s`

const reproduction = `
## To reproduce

    make bench                                    # all of it, about ten minutes; writes this page
    go run ./testdata/bench -run 'call/stat'      # a part of it; prints the page
    go run ./testdata/bench -long -o long.md      # with ten times as many events
    go run ./testdata/bench -fstrace ./fstrace    # another build

Run it on an idle machine; see the load average above. It needs gcc. If another tool was missing,
the section of the benchmark says so.
`

func (r *report) write(w io.Writer) {
	fmt.Fprintf(w, preamble, times(r.options.count), modesText)
	r.machine.write(w)
	fmt.Fprintf(w, "| the run | %s, %s%s |\n", r.took.Round(time.Second), times(r.options.count), r.remarks())
	writeTargets(w, r.targets)
	for _, s := range r.sections {
		s.write(w)
	}
	fmt.Fprint(w, reproduction)
}

// remarks say what is unusual about a run.
func (r *report) remarks() (text string) {
	if s := r.options.match.String(); s != "" {
		text += fmt.Sprintf(", only `%s`", s)
	}
	if r.options.scale < 1 {
		text += fmt.Sprintf(", **at %g of the size: the numbers mean nothing**", r.options.scale)
	}
	return text
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// number prints x with three digits that count; nothing if there is no number.
func number(x float64) string {
	switch size := math.Abs(x); {
	case math.IsNaN(x) || math.IsInf(x, 0):
		return ""
	case size >= 100:
		return fmt.Sprintf("%.0f", x)
	case size >= 10:
		return fmt.Sprintf("%.1f", x)
	default:
		return fmt.Sprintf("%.2f", x)
	}
}

func numbers(list ...float64) (cells []string) {
	for _, x := range list {
		cells = append(cells, number(x))
	}
	return cells
}

// medians are a result's, mode by mode, each times unit.
func (r result) medians(modes []mode, unit float64) (cells []string) {
	for _, m := range modes {
		cells = append(cells, number(r.median(m.name)*unit))
	}
	return cells
}

// ratios are those of all modes but the first to the first.
func (r result) ratios(modes []mode) (cells []string) {
	for _, m := range modes[1:] {
		cells = append(cells, number(r.ratio(m.name, modes[0].name)))
	}
	return cells
}

func names(modes []mode) (list []string) {
	for _, m := range modes {
		list = append(list, m.name)
	}
	return list
}
