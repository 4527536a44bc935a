package verdicts

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/fstrace/fstrace/testdata/harness"
	"golang.org/x/sys/unix"
)

// A meeting is where a program waits for somebody else to do something: it opens one
// FIFO to say that it has come, and another to be let go.
type meeting struct{ here, to string }

func newMeeting(t testing.TB, dir string) meeting {
	t.Helper()
	m := meeting{filepath.Join(dir, "here"), filepath.Join(dir, "go")}
	for _, name := range []string{m.here, m.to} {
		if err := unix.Mkfifo(name, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// exec runs a command, and calls do when it has come. It reports whether it came.
func (m meeting) exec(cmd *exec.Cmd, do func() error) (end ending, met bool, err error) {
	here, err := os.OpenFile(m.here, os.O_RDWR, 0) // with a writer, it never ends
	if err != nil {
		return end, false, err
	}
	defer here.Close()
	release, err := os.OpenFile(m.to, os.O_RDWR, 0)
	if err != nil {
		return end, false, err
	}
	defer release.Close()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	hung, err := startWithPatience(cmd)
	if err != nil {
		return end, false, err
	}
	done := make(chan error, 1)
	go func() {
		if _, err := here.Read(make([]byte, 1)); err != nil {
			done <- err // the command has ended
			return
		}
		met = true
		err := do()
		_, errGo := release.Write([]byte("\n")) // a shell reads a line
		done <- errors.Join(err, errGo)
	}()
	err = cmd.Wait()
	here.Close()
	errDo := <-done
	if hung() {
		return end, met, errHung
	}
	if met && errDo != nil {
		return end, met, errDo
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return end, met, err
	}
	return ending{out.String(), cmd.ProcessState.Sys().(syscall.WaitStatus)}, met, nil
}

// meet runs a program on a tree, while somebody else does something.
func (l *verdictLab) meet(argv []string, on tree, do func() error) (end ending, left tree, met bool, err error) {
	if err := l.restore(on); err != nil {
		return end, nil, false, err
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = l.dir, l.env(rootUID)
	if end, met, err = l.meeting.exec(cmd, do); err != nil {
		return end, nil, met, err
	}
	left, err = snapshot(l.dir)
	return end, left, met, err
}

// TestVerdictsOutsider: somebody else changes something during the run. Then nothing is
// promised, or what is promised is right: a run from the tree as it was before, or from
// the tree with the change, prints and leaves the same. FSTRACE_VERDICT_SEED is another
// seed, FSTRACE_VERDICT_NUMBER the only case to be judged.
func TestVerdictsOutsider(t *testing.T) {
	n, seed := 60, uint64(1)
	if rounds := harness.StormRounds(t, 0); rounds > 0 {
		n, seed = 5*rounds, rand.Uint64()
	}
	if text := os.Getenv("FSTRACE_VERDICT_SEED"); text != "" {
		if _, err := fmt.Sscan(text, &seed); err != nil {
			t.Fatal(err)
		}
	}
	l := newVerdictLab(t)
	counts := map[string]int{}
	only := os.Getenv("FSTRACE_VERDICT_NUMBER")
	for i := range n {
		if only != "" && only != fmt.Sprint(i) {
			continue
		}
		d := draw{rand.New(rand.NewPCG(seed, uint64(i)))}
		before := d.tree(rootUID)
		p := &program{Lines: d.ops(before, false)}
		// Before and after operations on the same paths, or it makes no difference.
		meetAt := 1 + d.IntN(len(p.Lines))
		p.Lines = slices.Insert(slices.Concat(p.Lines, p.Lines[:meetAt]), meetAt, "meet")
		c := verdictCase{Judge: "outsider", Program: *p, Tree: before, Mutation: d.mutation(before, p.paths())}
		verdict, wrong, err := l.outside(&c)
		if err != nil && !skippable(err) {
			t.Fatalf("seed %d, %d: %v", seed, i, err)
		}
		counts[verdict]++
		if wrong.none() || seed == 1 && knownVerdicts[fmt.Sprint("outsider ", i)] {
			continue
		}
		small := &c
		if s, w := l.shrink(&c, 300); !w.none() {
			small, wrong = s, w
		}
		text := fmt.Sprintf("%s [seed %d, %d]\n%v    %s\n    %s", verdict, seed, i, small, wrong.text, small.line())
		if reportVerdicts {
			noteVerdict("outsider: "+small.kind(), small.kind(), text)
		}
		t.Errorf("wrong: %s", text)
	}
	t.Logf("seed %d: %v", seed, counts)
}

// outside judges a program during whose run somebody makes a change. The verdict says
// what is promised.
func (l *verdictLab) outside(c *verdictCase) (verdict string, wrong difference, err error) {
	nothing := func() error { return nil }
	var failed error
	before := c.Mutation // the change, by a path that there is before the program runs, too
	p, argv := &c.Program, l.argv(&c.Program)
	traced := append([]string{l.fstrace, "-q", "-f", "manifest", "-o", l.manifest, "--"}, argv...)
	end, left, met, err := l.meet(traced, c.Tree, func() error {
		before.Path = l.resolved(before.Path)
		failed = c.Mutation.make(l.dir)
		return nil
	})
	if err != nil || !met || failed != nil {
		return "nothing happened", wrong, err
	}
	atOnce, _, err := l.check(p, false)
	if err != nil || atOnce == harness.ExitCannotTell {
		return "incomplete", wrong, err
	}
	verdict = "stale"

	// What the program does alone, and with the change made before it runs.
	aloneEnd, alone, _, err := l.meet(argv, c.Tree, nothing)
	if err != nil {
		return "", wrong, err
	}
	if err := l.restore(c.Tree); err != nil {
		return "", wrong, err
	}
	changed, errChange := before.apply(l.dir, c.Tree)
	var changedEnd ending
	var afterChange tree
	if errChange == nil {
		if changedEnd, afterChange, _, err = l.meet(argv, changed, nothing); err != nil {
			return "", wrong, err
		}
	}

	if atOnce == harness.ExitValid {
		verdict = "as left"
		first := errChange == nil && differs(end, changedEnd, left, afterChange, false).none()
		last := end == aloneEnd && isApart(c.Tree, alone, left)
		if !first && !last {
			return verdict, difference{"outsider", fmt.Sprintf("it ended %v; alone %v; with the change before %v", end, aloneEnd, changedEnd)}, nil
		}
	}
	for _, start := range []tree{c.Tree, changed} {
		if start == nil {
			continue
		}
		if changed == nil && end == aloneEnd && isApart(c.Tree, alone, left) {
			continue // what it has left is its own but for the change
		}
		if err := l.restore(start); err != nil {
			return "", wrong, err
		}
		status, _, err := l.check(p, true)
		if err != nil {
			return "", wrong, err
		}
		if status != harness.ExitValid {
			continue
		}
		verdict += ", as found"
		x := &played{program: p, lab: l, before: start, left: left, first: end}
		again, after := aloneEnd, alone
		if changed != nil {
			x.before = changed
			if len(start) == len(changed) && differs(ending{}, ending{}, start, changed, true).none() {
				again, after = changedEnd, afterChange
			}
		}
		if d := x.foundDiffers(start, again, after); !d.none() {
			return verdict, d, nil
		}
	}
	return verdict, wrong, nil
}

// resolved returns a path without symbolic links in its directory part.
func (l *verdictLab) resolved(path string) string {
	dir, err := filepath.EvalSymlinks(filepath.Join(l.dir, filepath.Dir(path)))
	if err != nil {
		return path
	}
	rel, err := filepath.Rel(l.dir, filepath.Join(dir, filepath.Base(path)))
	if err != nil {
		return path
	}
	return rel
}

// isApart reports whether the change concerns only what the program has left alone: left
// is what it leaves alone but for that.
func isApart(before, alone, left tree) bool {
	for _, name := range union(before, alone, left) {
		if !sameNode(alone[name], left[name], false) && !sameNode(alone[name], before[name], false) {
			return false
		}
	}
	return true
}

// exchange exchanges c and d.
const exchange = `python3 -I -c 'import ctypes; ctypes.CDLL(None).renameat2(-100, b"d", -100, b"c", 2)'`

// TestVerdictOutsiderRows: what somebody else did to inputs, outputs and new directories.
func TestVerdictOutsiderRows(t *testing.T) {
	for _, tt := range []struct{ name, setup, command, meanwhile, then string }{
		{"chmod of an input", "echo echo hi >f; chmod 644 f", "cat f; MEET; [ -x f ] && echo exec", "chmod 755 f", "chmod 644 f"},
		{"an output written over", "", "echo good >o; MEET", "echo evil >o", ""},
		{"a name in a new directory", "", "mkdir p; MEET; ls p", "echo evil >p/x", "rm p/x"},
		{"a file in a new directory", "", "mkdir p; MEET; cat p/x", "echo evil >p/x", "echo other >p/x"},
		{"an input edited between two reads", "echo 1 >f", "cat f; MEET; cat f", "echo 2 >f", ""},
		{"a new output removed", "", "echo x >o; MEET", "rm o", ""},
		{"a new output removed, and seen to be", "", "echo x >o; MEET; test -e o || echo gone", "rm o", ""},
		{"a new output replaced", "", "echo x >o; MEET", "rm o; mkdir o", ""},
		{"attributes of a new output", "", "echo x >o; MEET", "chmod 600 o", ""},
		{"a new directory removed", "", "mkdir p; MEET", "rmdir p", ""},
		{"a new output and its directory removed", "mkdir p", "echo x >p/o; MEET", "rm -r p", ""},
		{"a renamed output removed", "echo x >f", "mv f o; MEET", "rm o", ""},
		{"a renamed file replaced", "echo x >f", "mv f o; MEET", "rm o; echo longer >o", ""},
		{"a name of an output replaced", "echo x >f; ln f g", "echo y >>f; MEET", "rm g; echo z >g", ""},
		{"an output written by another name", "echo x >f; ln f g", "echo y >>f; MEET", "echo z >>g", ""},
		{"a file on the way to nothing", "", "test -e d/x; MEET", "echo x >d", ""},
		{"a directory on the way, given a mode", "mkdir d; echo x >d/f", "cat d/f; MEET", "chmod 700 d", ""},
		{"a mode between two accesses", "echo x >f", "cat f; MEET; echo y >f", "chmod 600 f", ""},
		{"what could not be removed", "mkdir d; echo x >d/f", "rmdir d; MEET; rmdir d; :", "rm d/f", ""},
		{"what could not be removed, and its directory", "mkdir d; echo x >d/f", "rmdir d; MEET; test -e d || echo gone", "rm -r d", ""},
		{"a listed directory replaced", "mkdir d d/b", "ls d; MEET; ls d", "rm -r d; mkdir d", ""},
		{"a renamed file, given a mode", "echo x >f", "mv f o; MEET", "chmod 600 o", ""},
		{"a file replaced between two chmods", "echo x >f", "chmod 600 f; MEET; chmod 600 f", "rm f; echo longer >f", ""},
		{"an output written by another name, after an open in vain", "echo x >f; ln f g", "echo y >no/../no/g; echo y >>f; MEET", "echo z >>g", ""},
		{"a link between two accesses", "ln -s a l", "cat l; MEET; cat l; :", "ln -sfn b l", ""},
		{"what was absent made", "", "cat f; MEET; cat f", "echo 2 >f", ""},
		{"a file that rmdir . cannot concern", "echo x >a", "mkdir a; rmdir .; MEET; mkdir a; :", "rm a", ""},
		{"a file that unlink f/ cannot remove", "echo x >f", "unlink f/; cat f/; MEET; unlink f/; :", "rm f; mkdir f", ""},
		{"a link that runs in a circle", "ln -s l/l l", "echo x >l; MEET; echo x >l", "rm l; ln -s c l", "rm l c; ln -s l/l l"},
		{"a mode that was set, and set again", "echo x >f", "chmod 700 f; MEET", "chmod 755 f", ""},
		{"a mode of a file that got another name", "echo x >f", "ln f g; MEET", "chmod 600 f", ""},
		{"an owner that was set, and set again", "echo x >f", "chown 5 f; MEET", "chown 6 f", ""},
		{"a mode that was set, and the directory replaced", "mkdir d", "chmod 600 d; MEET", "rm -r d; mkdir d", ""},
		{"an exchanged link replaced", "mkdir d; ln -s a c", exchange + "; MEET; " + exchange, "rm d; ln -s b d", "rm -r c d; mkdir d; ln -s a c"},
		{"another name where a renamed file was", "echo x >f; ln f g", "mv f o; MEET; mv -nT f o", "mv g f", ""},
		{"a link that was passed, then renamed", "ln -s nowhere a; ln -s a d", "test -e d/; MEET; mv d e", "rm d; ln -s d d", ""},
		{"what was absent, made in a directory that is renamed", "mkdir b", "test -e b/a; MEET; mv b c", "echo new >b/a", ""},
		{"an output, after an exclusive open in vain", "echo x >f", "dd of=f conv=excl status=none </dev/null; echo y >>f; MEET", "echo z >>f", ""},
	} {
		t.Run(strings.ReplaceAll(tt.name, " ", "_"), func(t *testing.T) {
			if knownVerdicts["outsider: "+tt.name] {
				t.Skip("known to be wrong")
			}
			if strings.Contains(tt.command, "python3") {
				harness.NeedTool(t, "python3")
			}
			l := newVerdictLab(t)
			p := &program{Shell: true, Lines: []string{tt.command}}
			sh := func(script string) error {
				end, err := l.exec(rootUID, l.dir, "/bin/sh", "-c", script)
				if err == nil && end.status != 0 {
					err = fmt.Errorf("%s: %v", script, end)
				}
				return err
			}
			if err := sh(tt.setup); err != nil {
				t.Fatal(err)
			}
			before, err := snapshot(l.dir)
			if err != nil {
				t.Fatal(err)
			}
			argv := append([]string{l.fstrace, "-q", "-f", "manifest", "-o", l.manifest, "--"}, l.argv(p)...)
			_, _, met, err := l.meet(argv, before.aged(pristineTime), func() error { return sh(tt.meanwhile) })
			if err != nil || !met {
				t.Fatal(met, err)
			}
			if tt.then == "" {
				l.want(t, p, "at once", notValid, false)
				l.want(t, p, "at once", notValid, true)
				return
			}
			if err := sh(tt.then); err != nil {
				t.Fatal(err)
			}
			l.want(t, p, "as left", notValid, false)
			l.want(t, p, "as found", notValid, true)
		})
	}
}
