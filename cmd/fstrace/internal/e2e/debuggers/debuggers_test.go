// Package debuggers tests programs that trace, inside a trace. Each behaves as it does
// without fstrace, under either lifecycle, and the record has what the traced program
// does.
package debuggers

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/fstrace/fstrace/testdata/harness"
)

// digits takes out what no two runs have in common: numbers of processes,
// addresses, cookies.
func digits(s string) string {
	return regexp.MustCompile(`0x[0-9a-f]+|[0-9]{2,}`).ReplaceAllString(s, "N")
}

// traceInside runs argv bare and traced, and compares. It returns the record of
// each lifecycle.
func traceInside(t *testing.T, tr *harness.Trial, normal func(string) string, argv []string, check func(*testing.T, harness.Outcome, *harness.Record)) {
	t.Helper()
	bare := tr.Bare(t, argv...)
	for _, lifecycle := range harness.Lifecycles {
		t.Run(lifecycle, func(t *testing.T) {
			in := *tr
			in.Flags = append(slices.Clone(tr.Flags), "--lifecycle", lifecycle)
			traced, r := in.Traced(t, argv...)
			harness.Same(t, bare, traced, normal)
			harness.CheckTree(t, r, lifecycle)
			check(t, traced, r)
		})
	}
}

// gdb runs a program to a breakpoint and to its end.
func TestGDBRun(t *testing.T) {
	gdb := harness.NeedTool(t, "gdb")
	exe := harness.BuildC(t, "gcc", "lifecycle/debuggee", "-O0", "-pthread")
	tr := &harness.Trial{Dir: t.TempDir(), Env: []string{"LC_ALL=C"}}
	argv := []string{
		gdb, "-nx", "-batch", "-ex", "break leaf", "-ex", "run", "-ex", "bt",
		"-ex", "continue", "-ex", "bt", "-ex", "delete", "-ex", "continue", "-ex", "print $_exitcode", exe,
	}
	traceInside(t, tr, gdbOutput, argv, func(t *testing.T, got harness.Outcome, r *harness.Record) {
		if !strings.Contains(got.Stdout, "$1 = 42") || strings.Count(got.Stdout, "Breakpoint 1, leaf") != 2 {
			t.Errorf("gdb printed\n%s", got.Stdout)
		}
		harness.WantComplete(t, r)
		r.Opened(t, exe, "/etc/hostname")
	})
}

// gdbOutput takes out the numbers of processes and addresses, but not of lines.
func gdbOutput(s string) string {
	s = regexp.MustCompile(`(?m)^\[New Thread .*\n|^\[Thread .* exited\]\n`).ReplaceAllString(s, "") // in any order
	return regexp.MustCompile(`0x[0-9a-f]+|(process|LWP) [0-9]+`).ReplaceAllString(s, "N")
}

// gdb attaches to a program that runs: a descendant that fstrace follows.
func TestGDBAttach(t *testing.T) {
	harness.NeedTool(t, "gdb")
	exe := harness.BuildC(t, "gcc", "lifecycle/debuggee", "-O0", "-pthread")
	dir := harness.OpenDir(t)
	harness.NewFIFO(t, dir, "go")
	harness.WriteFile(t, filepath.Join(dir, "attach.sh"), `
		"$1" go & pid=$!
		until [ "$(readlink /proc/$pid/exe)" = "$1" ]; do :; done
		# It waits for the FIFO to be opened: gdb finds it there, or on its way there.
		gdb -nx -batch -p $pid -ex 'break leaf' -ex 'shell echo >go &' -ex continue -ex bt -ex delete -ex detach
		wait $pid; echo "status $?"`)
	tr := &harness.Trial{Dir: dir, Env: []string{"LC_ALL=C"}}
	const said = "n is 42\n"          // by the program
	normal := func(s string) string { // where it was interrupted differs
		_, after, _ := strings.Cut(gdbOutput(s), "Breakpoint 1 at")
		return strings.Replace(after, said, "", 1) + said // beside gdb, when it is detached
	}
	traceInside(t, tr, normal, []string{"sh", "attach.sh", exe}, func(t *testing.T, got harness.Outcome, r *harness.Record) {
		if !strings.Contains(got.Stdout, "status 42") || !strings.Contains(got.Stdout, "leaf (n=40)") {
			t.Errorf("gdb printed\n%s%s", got.Stdout, got.Stderr)
		}
		harness.WantComplete(t, r)
		r.Opened(t, exe, "/etc/hostname")
	})
}

// strace prints the same calls of a program with threads and children.
func TestStraceInside(t *testing.T) {
	harness.NeedTool(t, "strace")
	exe := harness.BuildC(t, "gcc", "lifecycle/debuggee", "-pthread")
	for name, argv := range map[string][]string{
		"program": {"strace", "-f", "-e", "trace=%file,%process", "-e", "signal=none", "-o", "log", exe},
		"shell":   {"strace", "-f", "-e", "trace=%file", "-e", "signal=none", "-o", "log", "sh", "-c", "cat /etc/hostname; " + exe},
		"counted": {"strace", "-f", "-c", "-e", "trace=%file", "-U", "calls,errors,name", "-S", "name", "-o", "log", exe},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			log := func() []string {
				content, err := os.ReadFile(filepath.Join(dir, "log"))
				if err != nil {
					t.Fatal(err)
				}
				return straceLog(string(content))
			}
			tr := &harness.Trial{Dir: dir}
			tr.Bare(t, argv...)
			want := log()
			traceInside(t, tr, nil, argv, func(t *testing.T, _ harness.Outcome, r *harness.Record) {
				if diff := harness.LineDiff(want, log()); diff != "" {
					t.Errorf("strace (-bare +traced):\n%s", diff)
				}
				harness.WantComplete(t, r)
				r.Opened(t, exe, "/etc/hostname")
			})
		})
	}
}

// straceLog is a log of strace -f without numbers of processes and addresses, each
// process's calls for themselves: threads of it run at once.
func straceLog(s string) []string {
	calls := map[string][]string{}
	var order []string
	for line := range strings.Lines(s) {
		pid, call, ok := strings.Cut(line, " ")
		if !ok || strings.Trim(pid, "0123456789") != "" {
			pid, call = "", line
		}
		if strings.Contains(call, "unfinished") { // a call of another came in between
			continue
		}
		call = regexp.MustCompile(`<\.\.\. (\w+) resumed>.*`).ReplaceAllString(strings.TrimSpace(call), "$1 resumed")
		call = regexp.MustCompile(`^(\w+)\(.*(clone|wait|exit).*`).ReplaceAllString(call, "$1")
		call = regexp.MustCompile(`^(clone3?|wait4|vfork|exit|exit_group)\b.*`).ReplaceAllString(call, "$1 resumed")
		if calls[pid] == nil {
			order = append(order, pid)
		}
		calls[pid] = append(calls[pid], digits(call))
	}
	var all []string
	for _, pid := range order {
		all = append(all, calls[pid]...)
	}
	return all
}

// strace's own filter is not asked about what fstrace is notified of: the kernel
// obeys the notification. The record says so.
func TestStraceSeccompInside(t *testing.T) {
	harness.NeedTool(t, "strace")
	tr := &harness.Trial{Dir: t.TempDir()}
	argv := []string{"strace", "-f", "--seccomp-bpf", "-e", "trace=%file", "-o", "log", "cat", "/etc/hostname"}
	bare := tr.Bare(t, argv...)
	for _, lifecycle := range harness.Lifecycles {
		t.Run(lifecycle, func(t *testing.T) {
			in := harness.Trial{Dir: tr.Dir, Flags: []string{"--lifecycle", lifecycle}}
			traced, r := in.Traced(t, argv...)
			harness.Same(t, bare, traced, strayExec)
			if got := harness.Distinct(r.Reasons()); !slices.Equal(got, []string{"bypassed_filter"}) {
				t.Errorf("incomplete: %v, want bypassed_filter", r.Trailer["incomplete"])
			}
			r.Opened(t, harness.RealPath(t, "cat"), "/etc/hostname")
		})
	}
}

// strayExec takes out what strace says of an exec whose beginning its filter was
// not asked about.
func strayExec(s string) string {
	return regexp.MustCompile(`(?m)^strace: Stray PTRACE_EVENT_EXEC .*\n`).ReplaceAllString(s, "")
}

// LeakSanitizer traces the process that it is part of, from a child that shares
// its memory, and finds the leak.
func TestLeakSanitizer(t *testing.T) {
	exe := harness.BuildC(t, "gcc", "lifecycle/leaky", "-fsanitize=address")
	tr := &harness.Trial{Dir: t.TempDir(), Env: []string{"ASAN_OPTIONS=detect_leaks=1"}}
	traceInside(t, tr, digits, []string{exe}, func(t *testing.T, got harness.Outcome, r *harness.Record) {
		if harness.StatusName(got.Status) == "0" || !strings.Contains(got.Stderr, "100 byte(s) leaked in 1 allocation(s)") {
			t.Errorf("ended with %s:\n%s", harness.StatusName(got.Status), got.Stderr)
		}
		harness.WantComplete(t, r)
	})
}

// Each way to trace that ptrace(2) has (testdata/lifecycle/ptracer.c).
func TestPtraceInside(t *testing.T) {
	exe := harness.BuildC(t, "gcc", "lifecycle/ptracer", "-pthread")
	for _, way := range []string{"traceme", "attach", "seize", "stopped", "thread", "self", "nobody", "again", "kill"} {
		t.Run(way, func(t *testing.T) {
			traceInside(t, &harness.Trial{Dir: t.TempDir()}, nil, []string{exe, way}, func(t *testing.T, got harness.Outcome, r *harness.Record) {
				if !strings.HasSuffix(got.Stdout, way+": done\n") || harness.StatusName(got.Status) != "3" {
					t.Errorf("ended with %s, printed\n%s%s", harness.StatusName(got.Status), got.Stdout, got.Stderr)
				}
				harness.WantComplete(t, r)
				if way != "nobody" && way != "kill" {
					r.Opened(t, exe, "/etc/hostname")
				}
			})
		})
	}
}

// A debugger of a debugger, which is not followed by ptrace itself by then.
func TestDebuggerInsideDebugger(t *testing.T) {
	harness.NeedTool(t, "strace")
	exe := harness.BuildC(t, "gcc", "lifecycle/ptracer", "-pthread")
	for _, way := range []string{"traceme", "seize", "self"} {
		t.Run(way, func(t *testing.T) {
			argv := []string{"strace", "-o", "log", "-e", "trace=ptrace", exe, way}
			traceInside(t, &harness.Trial{Dir: t.TempDir()}, nil, argv, func(t *testing.T, got harness.Outcome, r *harness.Record) {
				if !strings.HasSuffix(got.Stdout, way+": done\n") {
					t.Errorf("ended with %s, printed\n%s%s", harness.StatusName(got.Status), got.Stdout, got.Stderr)
				}
				r.Opened(t, exe, "/etc/hostname")
			})
		})
	}
}

// Unprivileged users debug too.
func TestPtraceInsideUnprivileged(t *testing.T) {
	harness.NeedRoot(t, "to become another user")
	exe := harness.BuildC(t, "gcc", "lifecycle/ptracer", "-pthread")
	for _, way := range []string{"traceme", "attach", "seize", "self"} {
		t.Run(way, func(t *testing.T) {
			tr := &harness.Trial{Dir: harness.OpenDir(t), User: &syscall.Credential{Uid: harness.Nobody.Uid, Gid: harness.Nobody.Gid}}
			traceInside(t, tr, nil, []string{exe, way}, func(t *testing.T, got harness.Outcome, r *harness.Record) {
				if !strings.HasSuffix(got.Stdout, way+": done\n") {
					t.Errorf("ended with %s, printed\n%s%s", harness.StatusName(got.Status), got.Stdout, got.Stderr)
				}
				harness.WantComplete(t, r)
			})
		})
	}
}
