package record

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/fstrace/fstrace/testdata/harness"
)

// An expectation is what a self-checking program prints: lines, and how they
// are to be compared. selfcheck.h has the format.
type expectation struct {
	lines      []string
	incomplete []string // the reasons that the record has to give

	flags, noLinks, pids, processes, unordered, count, deep bool
}

func parseExpected(t *testing.T, output string) *expectation {
	t.Helper()
	x := new(expectation)
	switches := map[string]*bool{
		"flags": &x.flags, "nolinks": &x.noLinks, "pids": &x.pids, "processes": &x.processes,
		"unordered": &x.unordered, "count": &x.count, "deep": &x.deep,
	}
	for line := range strings.Lines(output) {
		line = strings.TrimSuffix(line, "\n")
		directive, ok := strings.CutPrefix(line, "#")
		if !ok {
			x.lines = append(x.lines, line)
			continue
		}
		word, argument, _ := strings.Cut(directive, " ")
		if word == "incomplete" {
			x.incomplete = append(x.incomplete, argument)
		} else if s := switches[word]; s != nil {
			*s = true
		} else {
			t.Fatalf("unknown directive %q", line)
		}
	}
	x.pids = x.pids || x.processes
	x.incomplete = harness.Distinct(x.incomplete)
	x.lines = x.arrange(x.lines)
	return x
}

// render returns the lines that the record's events make.
func (x *expectation) render(t *testing.T, r *harness.Record) []string {
	t.Helper()
	if len(r.Events) == 0 {
		t.Fatal("no events")
	}
	root := r.Events[0].PID
	starting := map[int]bool{root: true} // after an exec, until it says that it began
	begun, ended := false, false
	counts := make(map[string]int)
	var lines []string
	for i := range r.Events {
		e := &r.Events[i]
		isStep, isStarting := e.Syscall == "", starting[e.PID]
		switch {
		case e.Path == "/fstrace-begin":
			starting[e.PID] = false
			begun = begun || e.PID == root
			continue
		case e.Path == "/fstrace-end":
			ended = true
			continue
		case isStep && e.Op == "exec":
			starting[e.PID] = true
		}
		if !begun || isStep && !x.processes || !isStep && isStarting {
			continue
		}
		if ended && (!isStep || e.PID == root) {
			continue // but the end of another process may be told late
		}
		line := x.line(e)
		if x.pids || e.PID != root {
			line = fmt.Sprintf("%d: %s", e.PID, line)
		}
		if x.count {
			counts[line]++
			continue
		}
		lines = append(lines, line)
	}
	if !begun || !ended {
		t.Errorf("begin seen: %v, end seen: %v, in %d events", begun, ended, len(r.Events))
	}
	for line, n := range counts {
		lines = append(lines, fmt.Sprintf("%d %s", n, line))
	}
	return x.arrange(lines)
}

// arrange gives lines that have no order among them one.
func (x *expectation) arrange(lines []string) []string {
	switch {
	case x.unordered, x.count:
		slices.Sort(lines)
	case x.pids:
		slices.SortStableFunc(lines, func(a, b string) int { return cmp.Compare(linePID(a), linePID(b)) })
	}
	return lines
}

// linePID is the process that a line begins with.
func linePID(line string) int {
	pid, _, _ := strings.Cut(line, ":")
	n, _ := strconv.Atoi(pid)
	return n
}

// line renders an event, but for its process.
func (x *expectation) line(e *harness.Event) string {
	if e.Syscall == "" {
		switch {
		case e.Op == "start":
			return fmt.Sprintf("start parent=%d", e.PPID)
		case e.Op == "exec":
			return "exec " + printable(e.Exe)
		case e.Op == "exit" && e.Signal != "":
			return "exit " + e.Signal
		case e.Op == "exit":
			return fmt.Sprintf("exit %d", e.Code)
		}
	}
	var b strings.Builder
	if e.ABI != "" {
		b.WriteString(e.ABI + ":")
	}
	if e.Address != "" {
		family, address, _ := strings.Cut(e.Address, " ")
		fmt.Fprintf(&b, "%s %s %s %s", e.Syscall, e.Op, family, printable(address))
		return b.String()
	}
	fmt.Fprintf(&b, "%s %s %s %s", e.Syscall, e.Op, e.State, cmp.Or(printable(e.Path), "?"))
	quoted := func(format, s string) {
		if s != "" {
			fmt.Fprintf(&b, format, printable(s))
		}
	}
	quoted(` as "%s"`, e.As)
	quoted(" -> %s", e.To)
	quoted(" %s", e.ToState)
	quoted(` as "%s"`, e.ToAs)
	quoted(` target="%s"`, e.Target)
	if x.flags && len(e.Flags) > 0 {
		b.WriteString(" flags=" + strings.Join(slices.Sorted(slices.Values(e.Flags)), "|"))
	}
	if !x.noLinks {
		sep := " links="
		for _, l := range e.Links {
			b.WriteString(sep + printable(l.Path) + ">" + printable(l.Target))
			sep = ","
		}
		quoted(" real=%s", e.Real)
	}
	return b.String()
}

// printable is selfcheck.h's quote.
func printable(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if c <= ' ' || c > '~' || c == '"' || c == '\\' {
			fmt.Fprintf(&b, `\x%02x`, c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
