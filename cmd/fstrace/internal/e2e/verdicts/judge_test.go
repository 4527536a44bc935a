package verdicts

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/fstrace/fstrace/testdata/harness"
)

// A played program has run once under fstrace, on a tree that is known, and left the
// manifest that is judged. Its oracle is the kernel: the program is run again, without
// fstrace, on the same tree with a change.
type played struct {
	*program
	lab    *verdictLab
	before tree
	left   tree
	first  ending
	from   tree // what the program before ran on, if this is its second run
}

// errNotRepeatable is of a program that differs from run to run by itself.
var errNotRepeatable = fmt.Errorf("two runs from the same tree differ")

// play runs a program under fstrace. An error is the lab's, or that the program cannot
// be judged; wrong says how fstrace changed what it does.
func (l *verdictLab) play(p *program, before tree) (x *played, wrong difference, err error) {
	bare, bareLeft, err := l.bare(p, before)
	if err != nil {
		return nil, difference{}, err
	}
	first, left, err := l.traced(p, before)
	if err != nil {
		return nil, difference{}, err
	}
	if d := differs(bare, first, bareLeft, left, p.Told); !d.none() {
		again, againLeft, err := l.bare(p, before)
		if err == nil && !differs(bare, again, bareLeft, againLeft, p.Told).none() {
			err = errNotRepeatable
		}
		d.kind = "with fstrace: " + d.kind
		return nil, d, err
	}
	return &played{program: p, lab: l, before: before, left: left, first: first}, difference{}, nil
}

// A difference is what two runs differ in that should be the same; none if text is
// empty. The kind is what is characteristic of it.
type difference struct{ kind, text string }

func (d difference) none() bool { return d.text == "" }

// differs compares two runs.
func differs(a, b ending, leftA, leftB tree, owner bool) difference {
	if a != b {
		return endsOtherwise(a, b)
	}
	for _, name := range union(leftA, leftB) {
		if !sameNode(leftA[name], leftB[name], owner) {
			return leavesOtherwise(name, leftA[name], leftB[name])
		}
	}
	return difference{}
}

func leavesOtherwise(name string, want, got node) difference {
	kind := "leaves"
	for _, f := range facets {
		if f.of(want) != f.of(got) {
			kind += " " + f.name
		}
	}
	return difference{kind, fmt.Sprintf("leaves %s: %v, not %v", name, got, want)}
}

// endsOtherwise compares what a caller sees. If only errors differ, the kind says which.
func endsOtherwise(want, got ending) difference {
	d := difference{"ends otherwise", fmt.Sprintf("ends %v, not %v", got, want)}
	a, b := strings.Split(want.out, "\n"), strings.Split(got.out, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] == b[i] {
			continue
		}
		x, y := strings.Fields(a[i]), strings.Fields(b[i])
		if len(x) == 0 || len(y) == 0 {
			break
		}
		if s, t := x[len(x)-1], y[len(y)-1]; len(x) == len(y) && isErrno(s) && isErrno(t) {
			d.kind = "another error: " + s + ", then " + t
		} else if isErrno(s) || isErrno(t) {
			d.kind = fmt.Sprintf("%s: %s, then %s", x[0], masked(x), masked(y))
		} else {
			d.kind = "prints otherwise: " + x[0]
		}
		break
	}
	return d
}

func isErrno(s string) bool { return len(s) > 3 && s[0] == 'E' && strings.ToUpper(s) == s }

func masked(line []string) string {
	switch last := line[len(line)-1]; {
	case isErrno(last):
		return last
	default:
		return "ok"
	}
}

// changes reports whether the program has left anything else than it found.
func (x *played) changes() bool {
	return !differs(ending{}, ending{}, x.before, x.left, true).none()
}

// A verdict is one answer of check, and whether the kernel agrees.
type verdict struct {
	status int
	same   bool       // the program would do the same again
	judged bool       // whether that could be found out
	wrong  difference // valid, but it would not: how
	why    string     // the reasons that check printed
}

// asFound judges whether a re-run from the tree with the change would do the same.
// With left, the manifest is asked whether all is as left: for a program that changes
// nothing this is a promise of the same.
func (x *played) asFound(m mutation, left bool) (verdict, error) {
	v := verdict{}
	if err := x.lab.restore(x.before); err != nil {
		return v, err
	}
	changed, err := m.apply(x.lab.dir, x.before)
	if err != nil {
		return v, errInapplicable
	}
	if v.status, v.why, err = x.lab.check(x.program, !left); err != nil {
		return v, err
	}
	end, after, err := x.lab.bare(x.program, changed)
	if err != nil {
		return v, err
	}
	d := x.foundDiffers(changed, end, after)
	v.judged, v.same = true, d.none()
	if v.status == harness.ExitValid {
		v.wrong = d
	}
	return v, nil
}

// foundDiffers says in what a run from a changed tree differs from the first. What it
// left must be the same, each facet of each path, but for what was changed and neither
// run did anything to.
func (x *played) foundDiffers(changed tree, end ending, after tree) difference {
	if end != x.first {
		return endsOtherwise(x.first, end)
	}
	mutated := map[string]bool{}
	for _, name := range union(x.before, changed) {
		mutated[name] = !sameNode(x.before[name], changed[name], true)
	}
	// What somebody added to, or took from, a group of hard links is not the program's.
	own := func(n node) node {
		names := slices.DeleteFunc(strings.Fields(n.Group), func(name string) bool { return mutated[name] })
		if n.Group = ""; len(names) > 1 {
			n.Group = strings.Join(names, " ")
		}
		return n
	}
	for _, name := range union(x.before, x.left, changed, after) {
		was, left, is, got := own(x.before[name]), own(x.left[name]), own(changed[name]), own(after[name])
		for _, f := range facets {
			if f.name == "owner" && !x.Told || f.of(got) == f.of(left) {
				continue
			}
			if mutated[name] && f.of(got) == f.of(is) && f.of(left) == f.of(was) {
				continue
			}
			return leavesOtherwise(name, left, got)
		}
	}
	return difference{}
}

// asLeft judges whether everything is as the program left it, after a change to that.
func (x *played) asLeft(m mutation) (verdict, error) {
	v := verdict{}
	if err := x.lab.restore(x.left); err != nil {
		return v, err
	}
	changed, err := m.apply(x.lab.dir, x.left)
	if err != nil {
		return v, errInapplicable
	}
	if v.status, v.why, err = x.lab.check(x.program, false); err != nil {
		return v, err
	}
	own, others := x.split(changed)
	for _, name := range own {
		before, left, is := x.before[name], x.left[name], changed[name]
		// What the program gave a file has to be there; of the rest, as of a file of
		// which it may have known another name, the next run decides.
		for _, f := range facets[:3] {
			if left.Group == "" && f.of(before) != f.of(left) && f.of(is) != f.of(left) {
				v.judged = true
				if v.status == harness.ExitValid {
					v.wrong = leavesOtherwise(name, left, is)
					v.wrong.kind = "its own: " + v.wrong.kind
				}
				return v, nil
			}
		}
	}
	var start tree
	if len(own) > 0 {
		apart := func(name string) bool { return x.before[name].Group != x.left[name].Group }
		if m.replaces() || slices.ContainsFunc(own, apart) {
			return v, nil // the same change would do something else to what was there before
		}
		if start, err = x.changedBefore(m); err != nil {
			return v, nil
		}
	} else if start, err = x.startWith(changed, others); err != nil {
		return v, nil
	}
	end, after, err := x.lab.bare(x.program, start)
	if err != nil {
		return v, err
	}
	d := differs(x.first, end, changed, after, x.Told)
	v.judged, v.same = true, d.none()
	if v.status == harness.ExitValid {
		v.wrong = d
	}
	return v, nil
}

// changedBefore returns the tree that the program ran on, with a change that must be
// possible there too.
func (x *played) changedBefore(m mutation) (tree, error) {
	if err := x.lab.restore(x.before); err != nil {
		return nil, err
	}
	return m.apply(x.lab.dir, x.before)
}

// split returns the paths that a change to what was left concerns: those that the
// program had changed, and the others.
func (x *played) split(changed tree) (own, others []string) {
	for _, name := range union(x.left, changed) {
		switch {
		case sameNode(x.left[name], changed[name], true):
		case sameNode(x.left[name], x.before[name], true):
			others = append(others, name)
		default:
			own = append(own, name)
		}
	}
	return own, others
}

// startWith returns the tree that the program ran on, with the same change. There may
// be none: a file in a directory that the program made has no place in it.
func (x *played) startWith(changed tree, others []string) (tree, error) {
	start := maps.Clone(x.before)
	for _, name := range others {
		if n := changed[name]; n.Type != 0 {
			start[name] = n
		} else {
			delete(start, name)
		}
	}
	for name, n := range start {
		if name != "." && start[parent(name)].Type != 'd' {
			return nil, errInapplicable
		}
		// Times that only the change has set; the program's own are not those of before.
		was, left, is := x.before[name], x.left[name], changed[name]
		if was.Type == n.Type && was.Mtime == left.Mtime && is.Type != 0 {
			n.Mtime = is.Mtime
			start[name] = n
		}
	}
	return start, nil
}

// origin is the tree that the first run ran on.
func (x *played) origin() tree {
	if x.from != nil {
		return x.from
	}
	return x.before
}
