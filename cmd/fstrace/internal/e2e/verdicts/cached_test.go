package verdicts

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fstrace/fstrace/testdata/harness"
)

// A cachedProgram is a program that runs by fstrace cache run, with a store of its own.
type cachedProgram struct {
	*program
	lab   *verdictLab
	store string
	exe   string
}

// step runs the program from a tree, with the cache and without, and compares.
func (x *cachedProgram) step(on tree) (left tree, wrong difference, err error) {
	want, left, err := x.lab.bare(x.program, on)
	if err != nil {
		return nil, difference{}, err
	}
	argv := []string{x.exe, "run", "-q", "--dir", x.store, "--allow-outside", "--keep-failures"}
	if x.Told {
		argv = append(argv, "--times", "strict")
	}
	got, gotLeft, err := x.lab.runOn(x.program, on, append(append(argv, "--"), x.lab.argv(x.program)...))
	if err != nil {
		return nil, difference{}, err
	}
	d := differs(want, got, left, gotLeft, true)
	if !d.none() {
		again, againLeft, err := x.lab.bare(x.program, on)
		if err == nil && !differs(want, again, left, againLeft, true).none() {
			err = errNotRepeatable
		}
		return nil, d, err
	}
	return left, difference{}, nil
}

// stats returns the counters of the store.
func (x *cachedProgram) stats(t *testing.T) (hits, misses, refused int) {
	t.Helper()
	out, err := exec.Command(x.exe, "stats", "--json", "--dir", x.store).Output()
	var s struct {
		Hits, Misses int
		NotKept      map[string]int
	}
	if err == nil {
		err = json.Unmarshal(out, &s)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range s.NotKept {
		refused += n
	}
	return s.Hits, s.Misses, refused
}

// TestCached draws programs, trees and changes at random. After each run with the cache,
// the tree, the output and the status must be those of a run without.
func TestCached(t *testing.T) {
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
			n := kind.few / 3
			if rounds := harness.StormRounds(t, 0); rounds > 0 {
				n = kind.many * rounds
			}
			lab := newVerdictLab(t)
			exe := harness.FstraceCache.Install(t, lab.base)
			steps, hits, misses, refused := 0, 0, 0, 0
			for i := range n {
				x := drawCached(t, lab, exe, seed, i, kind.uid, kind.shell)
				steps += x.judge(t, seed, i)
				h, m, r := x.stats(t)
				hits, misses, refused = hits+h, misses+m, refused+r
				if err := os.RemoveAll(x.store); err != nil {
					t.Fatal(err)
				}
			}
			t.Logf("seed %d: %d runs of %d programs: %d restored, %d kept, %d not kept", seed, steps, n, hits, misses, refused)
			if hits == 0 {
				t.Error("nothing was restored")
			}
		})
	}
}

func drawCached(t *testing.T, lab *verdictLab, exe string, seed uint64, index, uid int, shell bool) *cachedProgram {
	t.Helper()
	d := draw{rand.New(rand.NewPCG(seed, uint64(index)))}
	before := d.tree(uid)
	p := &program{UID: uid, Shell: shell, Told: d.chance(25)}
	if shell {
		p.Lines = d.shell(before, p.Told)
	} else {
		p.Lines = d.ops(before, p.Told)
	}
	store := filepath.Join(lab.cache(uid), fmt.Sprint("results", index))
	return &cachedProgram{p, lab, store, exe}
}

// judge runs the program from a tree and from others that are made of it, some of them
// twice, and returns how many runs it judged.
func (x *cachedProgram) judge(t *testing.T, seed uint64, index int) (steps int) {
	t.Helper()
	d := draw{rand.New(rand.NewPCG(seed, uint64(index)))}
	before := d.tree(x.UID)
	trees, last := []tree{before, before}, before
	for i := 0; i < len(trees); i++ {
		left, wrong, err := x.step(trees[i])
		switch {
		case skippable(err):
			return steps
		case err != nil:
			t.Fatalf("%d, tree %d: %v", index, i, err)
		case !wrong.none():
			t.Errorf("wrong: seed %d, program %d (%v, Told %v), tree %d: %s\n%s\nfrom %v", seed, index, strings.Join(x.Lines, "; "), x.Told, i, wrong.kind, wrong.text, trees[i])
			return steps
		}
		steps++
		if len(trees) > 16 {
			continue
		}
		switch last = left; {
		case i == 1: // what it left, twice
			trees = append(trees, left, left)
		case i%4 == 3:
			from := slices.Concat([]tree{before}, trees)[d.IntN(len(trees)+1)]
			if x.lab.restore(from) != nil {
				continue
			}
			m := d.mutation(from, x.paths())
			changed, err := m.apply(x.lab.dir, from)
			if err != nil {
				changed = from
			}
			trees = append(trees, changed, changed, before, last)
		}
	}
	return steps
}
