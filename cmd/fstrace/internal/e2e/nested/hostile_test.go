package nested

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fstrace/fstrace/testdata/harness"
)

// What a program does with the socket of the fstrace above is its own business: that
// one's command ends as ever, and its record is complete.
func TestNestedHostile(t *testing.T) {
	exe := harness.BuildC(t, "cc", "lifecycle/inner")
	for _, what := range []string{"close", "silent", "garbage", "huge", "many", "foreign", "early", "unread", "unanswered"} {
		for _, lifecycle := range harness.Lifecycles {
			t.Run(what+"/"+lifecycle, func(t *testing.T) {
				t.Parallel()
				dir := harness.OpenDir(t)
				harness.WriteFile(t, filepath.Join(dir, "in.txt"), "in\n")
				tr := &harness.Trial{Dir: dir, Flags: []string{"--lifecycle", lifecycle}}
				got, r := tr.Traced(t, exe, what, "in.txt")
				if got.Status != 0 || got.Stderr != "" {
					t.Errorf("ended with %s:\n%s", harness.StatusName(got.Status), got.Stderr)
				}
				harness.WantComplete(t, r)
			})
		}
	}
}

// An insideTrial is a fstrace with another inside, whose command says who it is and
// waits.
type insideTrial struct {
	exe, failpoint string // those of both, if set before start
	dir            string
	inner          int // the inner fstrace
	command        int
	done           chan harness.Outcome
	outer          *harness.Record // after finish
}

// startInside runs a script in a shell below two fstraces. The script may wait for the
// FIFO go-on; in begins with its process number written to the file pid.
func startInside(t *testing.T, outerFlags, innerFlags []string, script string) *insideTrial {
	t.Helper()
	n := &insideTrial{dir: harness.OpenDir(t), exe: harness.Fstrace(t)}
	n.start(t, outerFlags, innerFlags, script)
	return n
}

func (n *insideTrial) start(t *testing.T, outerFlags, innerFlags []string, script string) {
	t.Helper()
	exe := n.exe
	n.done = make(chan harness.Outcome, 1)
	harness.WriteFile(t, filepath.Join(n.dir, "kept.txt"), "kept\n")
	harness.NewFIFO(t, n.dir, "go-on")
	argv := append([]string{exe, "-f", "jsonl", "-o", filepath.Join(n.dir, "outer.jsonl")}, outerFlags...)
	argv = append(argv, "--", "sh", "-c", `"$@"; echo "inner $?"`, "sh", exe, "-o", filepath.Join(n.dir, "inner"))
	argv = append(append(argv, innerFlags...), "--", "sh", "-c", `echo $$ $PPID > pid.new; mv pid.new pid; `+script)
	tr := &harness.Trial{Dir: n.dir}
	if n.failpoint != "" {
		tr.Env = []string{"FSTRACE_FAILPOINT=" + n.failpoint + "=" + n.dir}
	}
	go func() { n.done <- tr.Run(t, argv) }()
	harness.Eventually(t, "the command runs", func() bool {
		data, err := os.ReadFile(filepath.Join(n.dir, "pid"))
		if err != nil {
			return false
		}
		_, err = fmt.Sscan(string(data), &n.command, &n.inner)
		return err == nil
	})
}

// hasChild reports whether a process runs a program, and has a child.
func hasChild(t *testing.T, pid int, program string) bool {
	t.Helper()
	comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil || string(comm) != program+"\n" {
		return false
	}
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", pid))
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("the kernel does not list children")
	}
	return len(data) > 0
}

// finish waits for the end, and checks that the outer record is complete.
func (n *insideTrial) finish(t *testing.T, wantStdout string) {
	t.Helper()
	got := <-n.done
	if got.Stdout != wantStdout {
		t.Errorf("standard output is %q, want %q; standard error:\n%s", got.Stdout, wantStdout, got.Stderr)
	}
	n.outer = harness.ReadRecord(t, filepath.Join(n.dir, "outer.jsonl"))
	harness.WantComplete(t, n.outer)
}

// Killed, the inner fstrace takes its command with it, as anywhere; and everything that
// the command has started.
func TestNestedKilled(t *testing.T) {
	for _, lifecycle := range harness.Lifecycles {
		t.Run(lifecycle, func(t *testing.T) {
			n := startInside(t, []string{"--lifecycle", lifecycle}, []string{"-f", "jsonl"}, `(sleep 600; :) & cat go-on`)
			if err := syscall.Kill(n.inner, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			n.finish(t, "inner 137\n")
			if _, err := os.Stat(filepath.Join(n.dir, "inner")); err == nil {
				t.Error("there is a record")
			}
			if state := harness.StatusField(n.command, "State"); state != "" && !strings.HasPrefix(state, "Z") {
				t.Errorf("the command lives: %s", state)
			}
		})
	}
}

// What is killed with an inner fstrace does not outlive the session, even if that ends
// first.
func TestNestedKilledLate(t *testing.T) {
	dir := harness.OpenDir(t)
	n := &insideTrial{dir: dir, exe: harness.FstraceWithFailpoints.Install(t, dir), failpoint: "before-kill"}
	reached, proceed := harness.NewFIFO(t, dir, "reached").ExpectVisitor(t), harness.NewFIFO(t, dir, "go")
	n.start(t, []string{"--lifecycle", "notify"}, []string{"-f", "jsonl"}, "read x <go-on")
	outer, err := strconv.Atoi(harness.StatusField(n.inner, "PPid"))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(n.inner, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	reached.Await()
	harness.Eventually(t, "the outer command has ended", func() bool { return harness.StatusField(outer, "State") == "" })
	time.Sleep(500 * time.Millisecond) // more than the session's end waits for others
	proceed.Release(t, func() bool { return len(n.done) > 0 })
	n.finish(t, "inner 137\n")
}

// Stopped, the inner fstrace delays its own command at most, and not without limit. Its
// record says so if it misses something.
func TestNestedStopped(t *testing.T) {
	for _, format := range []string{"jsonl", "manifest"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			n := startInside(t, nil, []string{"-f", format}, `cat go-on; cat kept.txt >&2; echo more >> kept.txt; echo done > done`)
			if err := syscall.Kill(n.inner, syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			harness.FIFO(filepath.Join(n.dir, "go-on")).Release(t, func() bool { return false })
			harness.Eventually(t, "the command goes on", func() bool {
				_, err := os.Stat(filepath.Join(n.dir, "done"))
				return err == nil
			})
			if err := syscall.Kill(n.inner, syscall.SIGCONT); err != nil {
				t.Fatal(err)
			}
			n.finish(t, "inner 0\n")
			data, err := os.ReadFile(filepath.Join(n.dir, "inner"))
			if err != nil {
				t.Fatal(err)
			}
			complete := !strings.Contains(string(data), `"reason":"nested"`) && !strings.Contains(string(data), `"reason": "nested"`)
			if want := format == "jsonl"; complete != want {
				t.Errorf("complete: %v, want %v:\n%s", complete, want, data)
			}
		})
	}
}

// A descendant that outlives the command is named, or waited for, as anywhere.
func TestNestedOutlived(t *testing.T) {
	for _, lifecycle := range harness.Lifecycles {
		for _, wait := range []string{"root", "all"} {
			t.Run(lifecycle+"/"+wait, func(t *testing.T) {
				n := startInside(t, []string{"--lifecycle", lifecycle, "--wait", "all"}, []string{"-f", "jsonl", "--wait", wait},
					`(cat go-on; cat kept.txt) >/dev/null & cat kept.txt; exit 3`)
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					n.finish(t, "kept\ninner 3\n")
				}()
				if wait == "root" {
					harness.Eventually(t, "the inner fstrace has ended", func() bool {
						_, err := os.Stat(filepath.Join(n.dir, "inner"))
						return err == nil
					})
				}
				harness.FIFO(filepath.Join(n.dir, "go-on")).Release(t, func() bool { return false })
				<-ended
				in := harness.ReadRecord(t, filepath.Join(n.dir, "inner"))
				want := map[string][]string{"root": {"descendant_running"}, "all": nil}[wait]
				got := harness.Distinct(in.Reasons())
				if !slices.Equal(got, want) {
					t.Errorf("the inner record is incomplete for %v, want %v", in.Trailer["incomplete"], want)
				}
			})
		}
	}
}

// A timeout ends all processes of the inner session, and none of others.
func TestNestedTimeoutAll(t *testing.T) {
	for _, lifecycle := range harness.Lifecycles {
		t.Run(lifecycle, func(t *testing.T) {
			n := startInside(t, []string{"--lifecycle", lifecycle}, []string{"-f", "jsonl", "--timeout", "300ms", "--kill-after", "300ms"},
				`(trap "" TERM; while :; do cat kept.txt; sleep 0.01; done) >/dev/null & trap "" TERM; cat go-on`)
			n.finish(t, "inner 137\n")
			in := harness.ReadRecord(t, filepath.Join(n.dir, "inner"))
			harness.WantComplete(t, in)
		})
	}
}

// Two inner sessions at once, as a build has them: each record has its own.
func TestNestedMake(t *testing.T) {
	makePath := harness.NeedTool(t, "make")
	exe := harness.Fstrace(t)
	for _, lifecycle := range harness.Lifecycles {
		t.Run(lifecycle, func(t *testing.T) {
			dir := harness.OpenDir(t)
			var rules strings.Builder
			const targets = 8
			fmt.Fprint(&rules, "all:")
			for i := range targets {
				fmt.Fprintf(&rules, " t%d", i)
				harness.WriteFile(t, filepath.Join(dir, fmt.Sprintf("in%d", i)), "in\n")
			}
			for i := range targets {
				fmt.Fprintf(&rules, "\nt%d: in%[1]d\n\t%s -f jsonl -o r%[1]d -- sh -c 'cat in%[1]d > t%[1]d; (cat in%[1]d; :) >> t%[1]d'", i, exe)
			}
			harness.WriteFile(t, filepath.Join(dir, "Makefile"), rules.String()+"\n")
			tr := &harness.Trial{Dir: dir, Flags: []string{"--lifecycle", lifecycle}}
			got, r := tr.Traced(t, makePath, "-s", "-j2")
			if got.Status != 0 || got.Stderr != "" {
				t.Fatalf("make: %s\n%s", harness.StatusName(got.Status), got.Stderr)
			}
			harness.WantComplete(t, r)
			for i := range targets {
				in := harness.ReadRecord(t, filepath.Join(dir, fmt.Sprintf("r%d", i)))
				harness.WantComplete(t, in)
				for j := range targets {
					path := filepath.Join(dir, fmt.Sprintf("in%d", j))
					if has := slices.ContainsFunc(in.Events, func(e harness.Event) bool { return e.Path == path }); has != (i == j) {
						t.Errorf("record %d has %s: %v", i, path, has)
					}
				}
			}
		})
	}
}

// A user without privileges has the same, below root and below himself.
func TestNestedUnprivileged(t *testing.T) {
	harness.NeedRoot(t, "to be another user")
	exe := harness.Fstrace(t)
	for _, below := range []string{"root", "himself"} {
		t.Run(below, func(t *testing.T) {
			dir := harness.OpenDir(t)
			// Where the user may not look, root sees more.
			tr := &harness.Trial{Dir: nestedDir(t, dir), User: harness.Nobody, Env: []string{"PATH=/usr/bin:/bin"}}
			if err := os.Chmod(dir, 0o777); err != nil {
				t.Fatal(err)
			}
			argv := []string{"sh", "-c", nestedWork}
			_, alone := tr.Traced(t, argv...)
			nestedDir(t, dir)
			argv = append([]string{exe, "-f", "jsonl", "-o", filepath.Join(dir, "inner"), "--"}, argv...)
			if below == "root" {
				setpriv, err := exec.LookPath("setpriv")
				if err != nil {
					t.Skip(err)
				}
				tr.User = nil
				argv = append([]string{setpriv, "--reuid", "65534", "--regid", "65534", "--clear-groups", "--"}, argv...)
			}
			got, r := tr.Traced(t, argv...)
			if strings.Contains(got.Stderr, "fstrace") {
				t.Errorf("standard error:\n%s", got.Stderr)
			}
			harness.WantComplete(t, r)
			sameRecord(t, "inner", alone, harness.ReadRecord(t, filepath.Join(dir, "inner")))
		})
	}
}
