package verdicts

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/fstrace/fstrace/testdata/harness"
)

// A verdictCase is all that is needed to bring one verdict about again.
type verdictCase struct {
	// Judge is "left" or "found"; with "again", of a second run on what the first left,
	// if that changes nothing; with "at once", of no change at all; or "run": that
	// fstrace does not change what the program does. "outsider" is of a change during the
	// run.
	Judge    string
	Program  program
	Tree     tree
	Mutation mutation
}

// judge plays a case from the beginning. It returns what is wrong.
func (l *verdictLab) judge(c *verdictCase) (difference, error) {
	if c.Judge == "outsider" {
		_, wrong, err := l.outside(c)
		return wrong, err
	}
	x, wrong, err := l.play(&c.Program, c.Tree)
	if err != nil || c.Judge == "run" || !wrong.none() {
		return wrong, err
	}
	if rest, ok := strings.CutPrefix(c.Judge, "again "); ok {
		if x, err = l.again(x); err != nil || x == nil {
			return difference{}, err
		}
		v, err := x.asFound(c.Mutation, rest == "left")
		return v.wrong, err
	}
	switch c.Judge {
	case "left":
		v, err := x.asLeft(c.Mutation)
		return v.wrong, err
	case "found":
		v, err := x.asFound(c.Mutation, false)
		return v.wrong, err
	case "at once left":
		return x.atOnce(false)
	case "at once found":
		return x.atOnce(true)
	}
	return difference{}, fmt.Errorf("unknown judge %q", c.Judge)
}

// again runs the program on what it left. It returns nil unless that changes nothing.
func (l *verdictLab) again(x *played) (*played, error) {
	y, wrong, err := l.play(x.program, x.left.aged(leftTime))
	if err != nil || !wrong.none() || y.changes() || y.first != x.first {
		return nil, err
	}
	y.from = x.before
	return y, nil
}

// atOnce asks for a verdict with nothing changed, and returns what check says if it is
// not valid.
func (x *played) atOnce(asFound bool) (difference, error) {
	state := x.left
	if asFound {
		state = x.before
	}
	if err := x.lab.restore(state); err != nil {
		return difference{}, err
	}
	status, out, err := x.lab.check(x.program, asFound)
	if err != nil || status == harness.ExitValid {
		return difference{}, err
	}
	return x.lab.answer(status, out), nil
}

// answer is what check says, as a difference from what it should.
func (l *verdictLab) answer(status int, out string) difference {
	out = strings.ReplaceAll(strings.TrimSpace(out), l.base, "BASE")
	kind := strings.TrimPrefix(out, "fstrace: check: BASE/out/m.json: ")
	kind = basePath.ReplaceAllString(strings.ReplaceAll(kind, "\n", "; "), "PATH")
	return difference{fmt.Sprintf("status %d: %s", status, kind), out}
}

var basePath = regexp.MustCompile(`BASE/[^ :;]*`)

// shrink returns the smallest case that it finds to be wrong too, in so many tries.
func (l *verdictLab) shrink(c *verdictCase, tries int) (*verdictCase, difference) {
	var why difference
	fails := func(c *verdictCase) bool {
		for range 3 { // some go wrong in some runs only
			if tries--; tries < 0 {
				return false
			}
			wrong, err := l.judge(c)
			if err != nil {
				return false
			}
			if !wrong.none() {
				why = wrong
				return true
			}
		}
		return false
	}
	for progress := true; progress; {
		progress = false
		for _, smaller := range c.smaller() {
			if fails(smaller) {
				c, progress = smaller, true
				break
			}
		}
	}
	return c, why
}

// smaller returns simpler variants of a case.
func (c *verdictCase) smaller() []*verdictCase {
	var list []*verdictCase
	for i := len(c.Program.Lines) - 1; i >= 0 && len(c.Program.Lines) > 1; i-- {
		d := *c
		d.Program.Lines = slices.Delete(slices.Clone(c.Program.Lines), i, i+1)
		list = append(list, &d)
	}
	for _, name := range c.Tree.paths() {
		if name != "." {
			d := *c
			d.Tree = c.Tree.drop(name)
			list = append(list, &d)
		}
	}
	if c.Program.UID != rootUID {
		d := *c
		d.Program.UID, d.Tree = rootUID, tree{}
		for name, n := range c.Tree {
			if n.UID == c.Program.UID {
				n.UID = rootUID
			}
			d.Tree[name] = n
		}
		list = append(list, &d)
	}
	if c.Mutation.Quiet {
		d := *c
		d.Mutation.Quiet = false
		list = append(list, &d)
	}
	for name, n := range c.Tree {
		plain := n
		plain.UID = c.Program.UID
		if plain.Mode = 0o644; n.Type == 'd' {
			plain.Mode = 0o755
		}
		if n.Type != 'l' && (plain.UID != n.UID || plain.Mode != n.Mode) && n.Group == "" {
			d := *c
			d.Tree = maps.Clone(c.Tree)
			d.Tree[name] = plain
			list = append(list, &d)
		}
	}
	if c.Program.Told {
		d := *c
		d.Program.Told = false
		if !d.Program.tells() {
			list = append(list, &d)
		}
	}
	return list
}

// tells reports whether a program may print times, owners or link counts.
func (p *program) tells() bool {
	return slices.ContainsFunc(p.Lines, func(line string) bool {
		f := strings.Split(line, ",")
		return p.Shell || f[0] == "same" ||
			len(f) == 3 && slices.Contains([]string{"stat", "lstat", "path"}, f[0]) && strings.ContainsAny(f[2], "ton")
	})
}

// kind is the program and the change in one line, without the paths.
func (c *verdictCase) kind() string {
	var ops []string
	for _, line := range c.Program.Lines {
		if c.Program.Shell {
			line = somePath.ReplaceAllString(line, "P")
		} else {
			line, _, _ = strings.Cut(line, ",")
		}
		ops = append(ops, line)
	}
	s := strings.Join(ops, "; ")
	if c.Program.UID != rootUID {
		s += " (unprivileged)"
	}
	if c.changes() {
		s += " | " + c.Mutation.Kind
	}
	return s
}

// changes reports whether the judge is one of the tree with a change.
func (c *verdictCase) changes() bool {
	return c.Judge != "run" && !strings.HasPrefix(c.Judge, "at once")
}

var somePath = regexp.MustCompile(`(\./)?\b[abcd](/(\.\.|[abcd]))*/?(\b|$)`)

// String is the case as people read it.
func (c *verdictCase) String() string {
	var b strings.Builder
	for _, name := range c.Tree.paths() {
		fmt.Fprintf(&b, "    %-8s %v\n", name, c.Tree[name])
	}
	sep := " "
	if c.Program.Shell {
		sep = "; "
	}
	fmt.Fprintf(&b, "    run as %d: %s\n", c.Program.UID, strings.ReplaceAll(strings.Join(c.Program.Lines, sep), "\n", "\\n"))
	if c.changes() {
		when := "then"
		if c.Judge == "outsider" {
			when = "meanwhile"
		}
		fmt.Fprintf(&b, "    %s: %v\n", when, c.Mutation)
	}
	return b.String()
}

// line is the case as FSTRACE_VERDICT takes it.
func (c *verdictCase) line() string {
	b, err := json.Marshal(c)
	if err != nil {
		return err.Error()
	}
	return "FSTRACE_VERDICT='" + strings.ReplaceAll(string(b), "'", `'\''`) + "' go test -run TestVerdictCase ./cmd/fstrace/internal/e2e/verdicts"
}

func skippable(err error) bool {
	return errors.Is(err, errInapplicable) || errors.Is(err, errNotRepeatable) || errors.Is(err, errHung)
}
