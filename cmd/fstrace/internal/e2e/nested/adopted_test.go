package nested

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/fstrace/fstrace/testdata/harness"
)

// A process of the inner command whose parent is outside of the inner session, because it
// was adopted or made so, is in the inner record; what a subreaper outside makes itself
// is not. If nothing shows whose it is, the record says so.
func TestNestedAdopted(t *testing.T) {
	exe, adopter := harness.Fstrace(t), harness.BuildC(t, "gcc", "lifecycle/adopter")
	for _, mode := range []string{"ptrace", "notify", "notify, fixed addresses"} {
		lifecycle, _, fixed := strings.Cut(mode, ",")
		for _, reaper := range []bool{false, true} {
			for _, how := range []string{"child", "orphan", "sibling"} {
				t.Run(fmt.Sprintf("%s/reaper=%v/%s", mode, reaper, how), func(t *testing.T) {
					dir := harness.OpenDir(t)
					inside, outside := filepath.Join(dir, "inside"), filepath.Join(dir, "outside")
					harness.WriteFile(t, inside, "in\n")
					harness.WriteFile(t, outside, "out\n")
					argv := []string{exe, "-q", "-f", "jsonl", "-o", filepath.Join(dir, "inner"), "--", adopter, how, inside}
					if reaper {
						argv = append([]string{adopter, "reaper", outside}, argv...)
					}
					if fixed {
						argv = append([]string{harness.NeedTool(t, "setarch"), "-R"}, argv...)
					}
					tr := &harness.Trial{Dir: dir, Flags: []string{"--lifecycle", lifecycle}}
					got, r := tr.Traced(t, argv...)
					if got.Status != 0 {
						t.Fatalf("ended with %s:\n%s", harness.StatusName(got.Status), got.Stderr)
					}
					harness.WantComplete(t, r)
					in := harness.ReadRecord(t, filepath.Join(dir, "inner"))
					opened := func(path string) bool {
						return slices.ContainsFunc(in.Events, func(e harness.Event) bool { return e.Path == path })
					}
					var want []string
					if fixed && (how != "child" || reaper) {
						want = []string{"untraced_process"}
					}
					if reasons := harness.Distinct(in.Reasons()); !slices.Equal(reasons, want) {
						t.Errorf("incomplete for %v, want %v", in.Trailer["incomplete"], want)
					}
					if opened(outside) {
						t.Error("the inner record has what the subreaper did")
					}
					if want == nil && !opened(inside) {
						t.Error("the inner record lacks an access")
					}
				})
			}
		}
	}
}

// A process that makes its first file call when the inner session is over is known at
// that one's end.
func TestNestedUnseen(t *testing.T) {
	exe, adopter := harness.Fstrace(t), harness.BuildC(t, "gcc", "lifecycle/adopter")
	for _, lifecycle := range harness.Lifecycles {
		for _, reaper := range []bool{false, true} {
			for _, fixed := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/reaper=%v/fixed=%v", lifecycle, reaper, fixed), func(t *testing.T) {
					dir := harness.OpenDir(t)
					file := filepath.Join(dir, "file")
					harness.WriteFile(t, file, "in\n")
					argv := []string{exe, "-q", "-f", "jsonl", "-o", filepath.Join(dir, "inner"), "--", adopter, "late", file}
					if reaper {
						argv = append([]string{adopter, "reaper", file}, argv...)
					}
					want := "descendant_running"
					if fixed {
						argv = append([]string{harness.NeedTool(t, "setarch"), "-R"}, argv...)
						if lifecycle == "notify" {
							want = "untraced_process"
						}
					}
					tr := &harness.Trial{Dir: dir, Flags: []string{"--lifecycle", lifecycle, "--wait", "all"}}
					got, r := tr.Traced(t, argv...)
					if got.Status != 0 {
						t.Fatalf("ended with %s:\n%s", harness.StatusName(got.Status), got.Stderr)
					}
					harness.WantComplete(t, r)
					in := harness.ReadRecord(t, filepath.Join(dir, "inner"))
					if reasons := harness.Distinct(in.Reasons()); !slices.Equal(reasons, []string{want}) {
						t.Errorf("incomplete for %v, want %s", in.Trailer["incomplete"], want)
					}
				})
			}
		}
	}
}

// An orphan that is about to end, and was never of the session, says nothing of its image
// any more. No record is incomplete for it.
func TestNestedForeignEnding(t *testing.T) {
	harness.NeedFUSE(t)
	server, lingers := harness.BuildC(t, "gcc", "incomplete/fuse", "-pthread"), harness.BuildC(t, "gcc", "lifecycle/lingers")
	n := startInside(t, []string{"--lifecycle", "notify"}, []string{"-f", "jsonl"}, "read x <go-on")
	at := filepath.Join(n.dir, "mounted")
	if err := os.Mkdir(at, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(at, syscall.MNT_DETACH) })
	cmd := exec.Command(server, at, "sh", "-c", `"$0" "$1"; read x`, lingers, filepath.Join(at, "keep"))
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer stdin.Close() // the server is killed then
	var pid int
	if _, err := fmt.Fscan(stdout, &pid); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, "it has no memory any more", func() bool {
		auxv, _ := os.ReadFile(fmt.Sprintf("/proc/%d/auxv", pid)) // ESRCH in newer kernels
		return len(auxv) == 0
	})
	if state := harness.StatusField(pid, "State"); state == "" || strings.HasPrefix(state, "Z") {
		t.Fatalf("it does not wait for the server of its file: %q", state)
	}
	harness.FIFO(filepath.Join(n.dir, "go-on")).Release(t, func() bool { return false })
	n.finish(t, "inner 1\n") // read has come to the end of the file
	harness.WantComplete(t, harness.ReadRecord(t, filepath.Join(n.dir, "inner")))
}

// Killed, an inner fstrace takes with it also a process that has made no file call yet.
func TestNestedKilledUnseen(t *testing.T) {
	adopter := harness.BuildC(t, "gcc", "lifecycle/adopter")
	for _, lifecycle := range harness.Lifecycles {
		t.Run(lifecycle, func(t *testing.T) {
			n := startInside(t, []string{"--lifecycle", lifecycle, "--wait", "all"}, []string{"-f", "jsonl"}, "exec "+adopter+" stays kept.txt")
			harness.Eventually(t, "the command has a child", func() bool { return hasChild(t, n.command, "adopter") })
			if err := syscall.Kill(n.inner, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			n.finish(t, "inner 137\n")
			n.wantNotKept(t)
		})
	}
}

// So it does with one that was forked, by a program that was executed, when the inner
// fstrace was dead and its command not yet. That takes an outer one without ptrace: else
// the command is dead by then.
func TestNestedKilledForking(t *testing.T) {
	adopter, dir := harness.BuildC(t, "gcc", "lifecycle/adopter"), harness.OpenDir(t)
	n := &insideTrial{dir: dir, exe: harness.FstraceWithFailpoints.Install(t, dir), failpoint: "before-kill"}
	reached, proceed := harness.NewFIFO(t, dir, "reached").ExpectVisitor(t), harness.NewFIFO(t, dir, "go")
	n.start(t, []string{"--lifecycle", "notify", "--wait", "all"}, []string{"-f", "jsonl"}, "read x <go-on; exec "+adopter+" stays kept.txt")
	if err := syscall.Kill(n.inner, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	reached.Await()
	never := func() bool { return false }
	harness.FIFO(filepath.Join(dir, "go-on")).Release(t, never)
	harness.Eventually(t, "the command has a child", func() bool { return hasChild(t, n.command, "adopter") })
	proceed.Release(t, never)
	n.finish(t, "inner 137\n")
	n.wantNotKept(t)
}

// wantNotKept fails the test if a process of the trial has opened kept.txt.
func (n *insideTrial) wantNotKept(t *testing.T) {
	t.Helper()
	kept := filepath.Join(n.dir, "kept.txt")
	if slices.ContainsFunc(n.outer.Events, func(e harness.Event) bool { return e.Path == kept }) {
		t.Error("the child has lived on")
	}
}
