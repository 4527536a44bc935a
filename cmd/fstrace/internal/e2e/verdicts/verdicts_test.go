// Package verdicts judges the answers of fstrace check by running random programs again.
package verdicts

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fstrace/fstrace/testdata/harness"
)

// knownVerdicts are the wrong verdicts of an ordinary run that are known, by the names
// that the tests give them. It must be empty.
var knownVerdicts = map[string]bool{}

// verdictKinds are the programs whose verdicts are judged.
var verdictKinds = []struct {
	name  string
	uid   int
	shell bool
	// How many programs are drawn in an ordinary run, and for each round of make
	// stress. Each is judged by some fifteen changes.
	few, many int
}{
	{"ops root", rootUID, false, 40, 4},
	{"ops nobody", nobodyUID, false, 40, 4},
	{"shell root", rootUID, true, 12, 1},
	{"shell nobody", nobodyUID, true, 12, 1},
}

// TestVerdicts draws programs, trees and changes at random, and judges what check says
// by running each program again. A wrong "valid" is a failure; a wrong "stale" is only
// counted.
func TestVerdicts(t *testing.T) {
	seed := uint64(1)
	if os.Getenv("FSTRACE_STRESS") != "" {
		seed = uint64(time.Now().UnixNano())
	}
	if text := os.Getenv("FSTRACE_VERDICT_SEED"); text != "" {
		if _, err := fmt.Sscan(text, &seed); err != nil {
			t.Fatal(err)
		}
	}
	for _, kind := range verdictKinds {
		t.Run(strings.ReplaceAll(kind.name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			n := kind.few
			if rounds := harness.StormRounds(t, 0); rounds > 0 {
				n = kind.many * rounds
			}
			j := &jury{lab: newVerdictLab(t), name: kind.name, seed: seed, counts: map[string]int{}}
			for i := range n {
				j.program(t, i, kind.uid, kind.shell)
			}
			j.report(t)
		})
	}
}

// A jury judges programs one after the other, and counts.
type jury struct {
	lab    *verdictLab
	name   string
	seed   uint64
	counts map[string]int
}

// program draws a program, plays it, and judges some changes.
func (j *jury) program(t *testing.T, index, uid int, shell bool) {
	d := draw{rand.New(rand.NewPCG(j.seed, uint64(index)))}
	before := d.tree(uid)
	p := program{UID: uid, Shell: shell, Told: d.chance(25) && j.lab.checks.times}
	if shell {
		p.Lines = d.shell(before, p.Told)
	} else {
		p.Lines = d.ops(before, p.Told)
	}
	id := fmt.Sprintf("%s %d", j.name, index)
	x, wrong, err := j.lab.play(&p, before)
	switch {
	case skippable(err):
		j.counts["not repeatable"]++
		return
	case err != nil:
		t.Fatalf("%s: %v", id, err)
	case !wrong.none():
		j.wrong(t, id, verdictCase{Judge: "run", Program: p, Tree: before}, wrong)
		return
	}
	j.counts["programs"]++
	j.judgeAtOnce(t, id, x)
	for k := range 5 {
		j.judgeMutation(t, fmt.Sprint(id, " ", k), "left", x, d.mutation(x.left, p.paths()))
		if j.lab.checks.asFound {
			j.judgeMutation(t, fmt.Sprint(id, " ", k), "found", x, d.mutation(x.before, p.paths()))
		}
	}
	if x, err = j.lab.again(x); err != nil && !skippable(err) {
		t.Fatalf("%s: %v", id, err)
	}
	if x == nil {
		return
	}
	j.counts["second runs"]++
	for k := range 3 {
		m := d.mutation(x.left, p.paths())
		j.judgeMutation(t, fmt.Sprint(id, " ", k), "again left", x, m)
		if j.lab.checks.asFound {
			j.judgeMutation(t, fmt.Sprint(id, " ", k), "again found", x, m)
		}
	}
}

// paths are the operands of a program that are paths of a tree, more or less.
func (p *program) paths() []string {
	var list []string
	for _, line := range p.Lines {
		for _, f := range strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(", ;\n<>&|()", r) }) {
			if slices.Contains(drawnPaths, f) {
				list = append(list, f)
			}
		}
	}
	return list
}

// judgeAtOnce asks for the verdict on a tree that nobody has changed.
func (j *jury) judgeAtOnce(t *testing.T, id string, x *played) {
	status, out, err := x.lab.check(x.program, false)
	if err != nil {
		t.Fatalf("%s: %v", id, err)
	}
	j.falseStale(t, id, verdictCase{Judge: "at once left", Program: *x.program, Tree: x.before}, status, out)
	if !j.lab.checks.asFound {
		return
	}
	if err := x.lab.restore(x.before); err != nil {
		t.Fatal(err)
	}
	if status, out, err = x.lab.check(x.program, true); err != nil {
		t.Fatalf("%s: %v", id, err)
	}
	j.falseStale(t, id, verdictCase{Judge: "at once found", Program: *x.program, Tree: x.before}, status, out)
}

func (j *jury) falseStale(t *testing.T, id string, c verdictCase, status int, out string) {
	j.counts[fmt.Sprintf("%s: status %d", c.Judge, status)]++
	if status != harness.ExitValid {
		j.wrong(t, id, c, j.lab.answer(status, out))
	}
}

func (j *jury) judgeMutation(t *testing.T, id, judge string, x *played, m mutation) {
	var v verdict
	var err error
	switch judge {
	case "left":
		v, err = x.asLeft(m)
	default:
		v, err = x.asFound(m, judge == "again left")
	}
	switch {
	case skippable(err):
		return
	case err != nil:
		t.Fatalf("%s, %v: %v", id, m, err)
	case !v.wrong.none():
		j.counts[judge+": WRONG"]++
		j.wrong(t, id, verdictCase{Judge: judge, Program: *x.program, Tree: x.origin(), Mutation: m}, v.wrong)
	case !v.judged:
		j.counts[judge+": not judged"]++
	case v.status == harness.ExitCannotTell:
		j.counts[judge+": cannot tell"]++
	case v.status == harness.ExitValid:
		j.counts[judge+": valid, rightly"]++
	case v.same:
		reason, _, _ := strings.Cut(v.why, ":")
		j.counts[judge+": stale though the same: "+reason]++
	default:
		j.counts[judge+": stale, rightly"]++
	}
}

// wrong notes a wrong verdict, as small as it can be made.
func (j *jury) wrong(t *testing.T, id string, c verdictCase, why difference) {
	promise := !strings.HasPrefix(c.Judge, "at once")
	id += " " + c.Judge
	small := &c
	if reportVerdicts || promise && !knownVerdicts[id] {
		aside := *j.lab // more changes may have to be judged by the manifest that is there
		aside.manifest += ".small"
		if s, w := aside.shrink(&c, 400); !w.none() {
			small, why = s, w
		}
	}
	class := c.Judge + ": " + why.kind
	text := fmt.Sprintf("%s [%s]\n%v    %s\n    %s", class, id, small, strings.ReplaceAll(why.text, j.lab.base, "BASE"), small.line())
	if reportVerdicts {
		noteVerdict(class, small.kind(), text)
	}
	if promise && !knownVerdicts[id] {
		t.Errorf("wrong: %s", text)
	}
}

func (j *jury) report(t *testing.T) {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(j.counts)) {
		fmt.Fprintf(&b, "  %6d %s\n", j.counts[name], name)
	}
	t.Logf("%s, seed %d:\n%s", j.name, j.seed, &b)
}

// reportVerdicts has all wrong verdicts be shrunk, also false stale ones, and written
// to a file, sorted by class.
var reportVerdicts = os.Getenv("FSTRACE_VERDICT_REPORT") != ""

var notedVerdicts struct {
	sync.Mutex
	byClass map[string][]notedVerdict
}

type notedVerdict struct{ kind, text string }

func noteVerdict(class, kind, text string) {
	n := &notedVerdicts
	n.Lock()
	defer n.Unlock()
	if n.byClass == nil {
		n.byClass = map[string][]notedVerdict{}
	}
	n.byClass[class] = append(n.byClass[class], notedVerdict{kind, text})
	var b strings.Builder
	classes := slices.SortedFunc(maps.Keys(n.byClass), func(x, y string) int {
		if c := len(n.byClass[y]) - len(n.byClass[x]); c != 0 {
			return c
		}
		return strings.Compare(x, y)
	})
	for _, class := range classes {
		all := n.byClass[class]
		slices.SortStableFunc(all, func(x, y notedVerdict) int { return len(x.text) - len(y.text) })
		fmt.Fprintf(&b, "## %d x %s\n%s\n", len(all), class, all[0].text)
		for _, v := range all[1:min(len(all), 9)] {
			fmt.Fprintf(&b, "    also: %s\n", v.kind)
		}
		b.WriteByte('\n')
	}
	_ = os.WriteFile(os.Getenv("FSTRACE_VERDICT_REPORT"), []byte(b.String()), 0o644)
}

// TestVerdictCase judges one case, as a failure has printed it.
func TestVerdictCase(t *testing.T) {
	line := os.Getenv("FSTRACE_VERDICT")
	if line == "" {
		t.Skip("FSTRACE_VERDICT is not set to a case")
	}
	var c verdictCase
	if err := json.Unmarshal([]byte(line), &c); err != nil {
		t.Fatal(err)
	}
	wrong, err := newVerdictLab(t).judge(&c)
	if err != nil {
		t.Fatal(err)
	}
	if !wrong.none() {
		t.Errorf("%s: %s\n%v    %s", c.Judge, wrong.kind, &c, wrong.text)
	}
}
