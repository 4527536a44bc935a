package main_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// Programs that trace, inside a trace. Each does what it does without fstrace,
// under either lifecycle, and what the traced program does to files is recorded
// all the same.

var lifecycles = []string{"ptrace", "notify"}

// digits takes out what no two runs have in common: numbers of processes,
// addresses, cookies.
func digits(s string) string {
	return regexp.MustCompile(`0x[0-9a-f]+|[0-9]{2,}`).ReplaceAllString(s, "N")
}

// opened fails the test unless the record has a program's opening of a file.
func (r *record) opened(t *testing.T, exe, path string) {
	t.Helper()
	runs := map[int]string{}
	for _, e := range r.Events {
		switch {
		case e.Op == "exec" && e.Syscall == "", e.Op == "start":
			runs[e.PID] = e.Exe
		case e.Op == "read" && e.Path == path && runs[e.PID] == exe:
			return
		}
	}
	t.Errorf("the record does not have %s opening %s", exe, path)
}

// traceInside runs argv bare and traced, and compares. It returns the record of
// each lifecycle.
func traceInside(t *testing.T, tr *trial, normal func(string) string, argv []string, check func(*testing.T, outcome, *record)) {
	t.Helper()
	bare := tr.bare(t, argv...)
	for _, lifecycle := range lifecycles {
		t.Run(lifecycle, func(t *testing.T) {
			in := *tr
			in.flags = append(slices.Clone(tr.flags), "--lifecycle", lifecycle)
			traced, r := in.traced(t, argv...)
			same(t, bare, traced, normal)
			checkTree(t, r, lifecycle)
			check(t, traced, r)
		})
	}
}

// checkTree is checkProcesses, but for what following without ptrace cannot see:
// a process that makes no file call.
func checkTree(t *testing.T, r *record, lifecycle string) {
	t.Helper()
	if lifecycle == "ptrace" {
		checkProcesses(t, r.Events)
	}
}

func wantComplete(t *testing.T, r *record) {
	t.Helper()
	if !r.complete() {
		t.Errorf("incomplete: %v", r.Trailer["incomplete"])
	}
}

// gdb runs a program to a breakpoint and to its end.
func TestGDBRun(t *testing.T) {
	gdb := needTool(t, "gdb")
	exe := lifecycleProgram(t, "debuggee", "gcc", "-O0", "-pthread")
	tr := &trial{dir: t.TempDir(), env: []string{"LC_ALL=C"}}
	argv := []string{
		gdb, "-nx", "-batch", "-ex", "break leaf", "-ex", "run", "-ex", "bt",
		"-ex", "continue", "-ex", "bt", "-ex", "delete", "-ex", "continue", "-ex", "print $_exitcode", exe,
	}
	traceInside(t, tr, gdbOutput, argv, func(t *testing.T, got outcome, r *record) {
		if !strings.Contains(got.stdout, "$1 = 42") || strings.Count(got.stdout, "Breakpoint 1, leaf") != 2 {
			t.Errorf("gdb printed\n%s", got.stdout)
		}
		wantComplete(t, r)
		r.opened(t, exe, "/etc/hostname")
	})
}

// gdbOutput takes out the numbers of processes and addresses, but not of lines.
func gdbOutput(s string) string {
	s = regexp.MustCompile(`(?m)^\[New Thread .*\n|^\[Thread .* exited\]\n`).ReplaceAllString(s, "") // in any order
	return regexp.MustCompile(`0x[0-9a-f]+|(process|LWP) [0-9]+`).ReplaceAllString(s, "N")
}

// gdb attaches to a program that runs: a descendant that fstrace follows.
func TestGDBAttach(t *testing.T) {
	needTool(t, "gdb")
	exe := lifecycleProgram(t, "debuggee", "gcc", "-O0", "-pthread")
	dir := openDir(t)
	newFIFO(t, dir, "go")
	writeFile(t, filepath.Join(dir, "attach.sh"), `
		"$1" go & pid=$!
		until [ "$(readlink /proc/$pid/exe)" = "$1" ]; do :; done
		# It waits for the FIFO to be opened: gdb finds it there, or on its way there.
		gdb -nx -batch -p $pid -ex 'break leaf' -ex 'shell echo >go &' -ex continue -ex bt -ex delete -ex detach
		wait $pid; echo "status $?"`)
	tr := &trial{dir: dir, env: []string{"LC_ALL=C"}}
	const said = "n is 42\n"          // by the program
	normal := func(s string) string { // where it was interrupted differs
		_, after, _ := strings.Cut(gdbOutput(s), "Breakpoint 1 at")
		return strings.Replace(after, said, "", 1) + said // beside gdb, when it is detached
	}
	traceInside(t, tr, normal, []string{"sh", "attach.sh", exe}, func(t *testing.T, got outcome, r *record) {
		if !strings.Contains(got.stdout, "status 42") || !strings.Contains(got.stdout, "leaf (n=40)") {
			t.Errorf("gdb printed\n%s%s", got.stdout, got.stderr)
		}
		wantComplete(t, r)
		r.opened(t, exe, "/etc/hostname")
	})
}

// strace prints the same calls of a program with threads and children.
func TestStraceInside(t *testing.T) {
	needTool(t, "strace")
	exe := lifecycleProgram(t, "debuggee", "gcc", "-pthread")
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
			tr := &trial{dir: dir}
			tr.bare(t, argv...)
			want := log()
			traceInside(t, tr, nil, argv, func(t *testing.T, _ outcome, r *record) {
				if diff := lineDiff(want, log()); diff != "" {
					t.Errorf("strace (-bare +traced):\n%s", diff)
				}
				wantComplete(t, r)
				r.opened(t, exe, "/etc/hostname")
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
		call = regexp.MustCompile(`^(clone3?|wait4|vfork)\b.*`).ReplaceAllString(call, "$1 resumed")
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
	needTool(t, "strace")
	tr := &trial{dir: t.TempDir()}
	argv := []string{"strace", "-f", "--seccomp-bpf", "-e", "trace=%file", "-o", "log", "cat", "/etc/hostname"}
	bare := tr.bare(t, argv...)
	for _, lifecycle := range lifecycles {
		t.Run(lifecycle, func(t *testing.T) {
			in := trial{dir: tr.dir, flags: []string{"--lifecycle", lifecycle}}
			traced, r := in.traced(t, argv...)
			same(t, bare, traced, strayExec)
			if got := distinct(r.reasons()); !slices.Equal(got, []string{"bypassed_filter"}) {
				t.Errorf("incomplete: %v, want bypassed_filter", r.Trailer["incomplete"])
			}
			r.opened(t, realPath(t, "cat"), "/etc/hostname")
		})
	}
}

// strayExec takes out what strace says of an exec whose beginning its filter was
// not asked about.
func strayExec(s string) string {
	return regexp.MustCompile(`(?m)^strace: Stray PTRACE_EVENT_EXEC .*\n`).ReplaceAllString(s, "")
}

// realPath is where a program's file really is.
func realPath(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.EvalSymlinks(needTool(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// LeakSanitizer traces the process that it is part of, from a child that shares
// its memory, and finds the leak.
func TestLeakSanitizer(t *testing.T) {
	exe := lifecycleProgram(t, "leaky", "gcc", "-fsanitize=address")
	tr := &trial{dir: t.TempDir(), env: []string{"ASAN_OPTIONS=detect_leaks=1"}}
	traceInside(t, tr, digits, []string{exe}, func(t *testing.T, got outcome, r *record) {
		if statusName(got.status) == "0" || !strings.Contains(got.stderr, "100 byte(s) leaked in 1 allocation(s)") {
			t.Errorf("ended with %s:\n%s", statusName(got.status), got.stderr)
		}
		wantComplete(t, r)
	})
}

// Each way to trace that ptrace(2) has (testdata/lifecycle/ptracer.c).
func TestPtraceInside(t *testing.T) {
	exe := lifecycleProgram(t, "ptracer", "gcc", "-pthread")
	for _, way := range []string{"traceme", "attach", "seize", "stopped", "thread", "self", "nobody", "again", "kill"} {
		t.Run(way, func(t *testing.T) {
			traceInside(t, &trial{dir: t.TempDir()}, nil, []string{exe, way}, func(t *testing.T, got outcome, r *record) {
				if !strings.HasSuffix(got.stdout, way+": done\n") || statusName(got.status) != "3" {
					t.Errorf("ended with %s, printed\n%s%s", statusName(got.status), got.stdout, got.stderr)
				}
				wantComplete(t, r)
				if way != "nobody" && way != "kill" {
					r.opened(t, exe, "/etc/hostname")
				}
			})
		})
	}
}

// A debugger of a debugger, which is not followed by ptrace itself by then.
func TestDebuggerInsideDebugger(t *testing.T) {
	needTool(t, "strace")
	exe := lifecycleProgram(t, "ptracer", "gcc", "-pthread")
	for _, way := range []string{"traceme", "seize", "self"} {
		t.Run(way, func(t *testing.T) {
			argv := []string{"strace", "-o", "log", "-e", "trace=ptrace", exe, way}
			traceInside(t, &trial{dir: t.TempDir()}, nil, argv, func(t *testing.T, got outcome, r *record) {
				if !strings.HasSuffix(got.stdout, way+": done\n") {
					t.Errorf("ended with %s, printed\n%s%s", statusName(got.status), got.stdout, got.stderr)
				}
				r.opened(t, exe, "/etc/hostname")
			})
		})
	}
}

// Unprivileged users debug too.
func TestPtraceInsideUnprivileged(t *testing.T) {
	needRoot(t, "to become another user")
	exe := lifecycleProgram(t, "ptracer", "gcc", "-pthread")
	for _, way := range []string{"traceme", "attach", "seize", "self"} {
		t.Run(way, func(t *testing.T) {
			tr := &trial{dir: openDir(t), user: &syscall.Credential{Uid: nobody.Uid, Gid: nobody.Gid}}
			traceInside(t, tr, nil, []string{exe, way}, func(t *testing.T, got outcome, r *record) {
				if !strings.HasSuffix(got.stdout, way+": done\n") {
					t.Errorf("ended with %s, printed\n%s%s", statusName(got.status), got.stdout, got.stderr)
				}
				wantComplete(t, r)
			})
		})
	}
}
