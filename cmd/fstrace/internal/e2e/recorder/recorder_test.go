// Package recorder tests commands that record their own calls (docs/recorder.md).
package recorder

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fstrace/fstrace/testdata/harness"
)

// needRecorder skips the test where there is none.
func needRecorder(t *testing.T) {
	t.Helper()
	if runtime.GOARCH != "amd64" {
		t.Skip("only x86-64 has a recorder")
	}
}

// run runs a command and returns its output and what -v says of the calls.
func run(t *testing.T, dir, record string, argv []string, flags ...string) (out string, notified, recorded int) {
	t.Helper()
	args := append(append([]string{"-v", "-f", "jsonl", "-o", record}, flags...), append([]string{"--"}, argv...)...)
	cmd := exec.Command(harness.FstraceEager.Install(t, harness.OpenDir(t)), args...)
	cmd.Dir = dir
	stderr := new(strings.Builder)
	cmd.Stderr = stderr
	stdout, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s%s", cmd, err, stdout, stderr)
	}
	if m := regexp.MustCompile(`calls +(\d+) notified; (\d+) recorded`).FindStringSubmatch(stderr.String()); m != nil {
		notified, _ = strconv.Atoi(m[1])
		recorded, _ = strconv.Atoi(m[2])
	}
	return string(stdout), notified, recorded
}

// TestCalls runs a program of threads, forked children, changes of the working directory
// and signals, which checks each of its results; and compares the record with its own
// list.
func TestCalls(t *testing.T) {
	needRecorder(t)
	exe := harness.BuildC(t, "gcc", "recorder/calls", "-O1", "-pthread", "-Wno-restrict")
	for _, signals := range [][2]string{{"0", "0"}, {"5000", "0"}, {"5000", "1"}} {
		t.Run(signals[0]+" Hz restart "+signals[1], func(t *testing.T) {
			for round := range harness.StormRounds(t, 2) {
				dir, record := harness.TempTree(t), filepath.Join(t.TempDir(), "record")
				out, notified, recorded := run(t, dir, record, append([]string{exe, strconv.Itoa(round)}, signals[:]...), "--recorder", "auto")
				r := harness.ReadRecord(t, record)
				harness.WantComplete(t, r)
				got := make(map[string]int)
				for _, e := range r.Events {
					got[e.Path]++
				}
				lines := bufio.NewScanner(strings.NewReader(out))
				for lines.Scan() {
					var path string
					var want int
					if _, err := fmt.Sscan(lines.Text(), &path, &want); err != nil {
						t.Fatalf("%q: %v", lines.Text(), err)
					}
					if !strings.HasPrefix(path, dir) || strings.HasSuffix(path, "/file") || strings.HasSuffix(path, "/link") || strings.HasSuffix(path, "/dir") {
						continue // also named by what prepares the directory
					}
					if got[path] != want {
						t.Errorf("%s: %d accesses, want %d", path, got[path], want)
					}
				}
				if recorded < 2000 {
					t.Errorf("%d calls were recorded, %d notified", recorded, notified)
				}
				if t.Failed() {
					t.Fatalf("round %d", round)
				}
			}
		})
	}
}

var varying = regexp.MustCompile(`"(time|session|end)":"[^"]*",?|"(pid|tid|ppid)":\d+,?|,"result":(0|"\w+")`)

// TestSameRecord runs programs with the recorder and without: one process each has the
// same record, line by line; of several, the lines are the same, in some order.
func TestSameRecord(t *testing.T) {
	needRecorder(t)
	dir := harness.TempTree(t)
	for i := range 50 {
		harness.Mkdir(t, filepath.Join(dir, fmt.Sprint("d", i)))
		for j := range 20 {
			harness.WriteFile(t, filepath.Join(dir, fmt.Sprint("d", i), fmt.Sprint("f", j)), "x")
		}
	}
	if git, err := exec.LookPath("git"); err == nil {
		for _, args := range [][]string{{"init", "-q"}, {"add", "-A"}, {"-c", "user.name=a", "-c", "user.email=b", "commit", "-qm", "c"}} {
			if out, err := exec.Command(git, append([]string{"-C", dir}, args...)...).CombinedOutput(); err != nil {
				t.Fatalf("git %q: %v\n%s", args, err, out)
			}
		}
	}
	for _, test := range []struct {
		name   string
		argv   []string
		sorted bool
		least  int
	}{
		{"ls", []string{"ls", "-lR", "."}, false, 100},
		{"find", []string{"find", "/usr/include", "-newer", "/etc/passwd"}, false, 0},
		{"readlink", []string{"sh", "-c", "readlink -f d1/f1 d2/f2 d3/f3 d4/f4 d5/f5 d6/f6 d7/f7 d8/f8"}, false, 1},
		{"git", []string{"git", "--no-optional-locks", "status", "--short"}, true, 100}, // in threads
		{"forks", []string{"bash", "-c", "for i in 1 2 3; do (for f in d$i/*; do [ -e $f ] && [ -x $f/x ]; done; cd d$i; [ -e f1 ]) ; done; cd d7; for i in f*; do [ -e $i ]; done"}, true, 20},
	} {
		t.Run(test.name, func(t *testing.T) {
			harness.NeedTool(t, test.argv[0])
			var lists [2][]string
			for i, how := range []string{"off", "auto"} {
				record := filepath.Join(t.TempDir(), "record")
				_, notified, recorded := run(t, dir, record, test.argv, "--recorder", how)
				if i == 1 && recorded < test.least {
					t.Errorf("%d calls were recorded, %d notified", recorded, notified)
				}
				checkResults(t, record, recorded)
				b, err := os.ReadFile(record)
				if err != nil {
					t.Fatal(err)
				}
				list := strings.Split(varying.ReplaceAllString(string(b), ""), "\n")
				for j := range list {
					if test.sorted {
						list[j] = regexp.MustCompile(`"seq":\d+,?`).ReplaceAllString(list[j], "")
					}
				}
				if test.sorted {
					slices.Sort(list)
				}
				lists[i] = list
			}
			if diff := harness.LineDiff(lists[0], lists[1]); diff != "" {
				t.Errorf("without and with:\n%s", diff)
			}
		})
	}
}

// checkResults compares the results in a record with the states: as many calls have one
// as were recorded, but those that the session learned of before they had returned, by
// chance.
func checkResults(t *testing.T, record string, recorded int) {
	t.Helper()
	known := 0
	for _, e := range harness.ReadRecord(t, record).Events {
		switch absent := e.State == "absent"; {
		case e.Result == "":
			continue
		case e.Result == "0" && absent, e.Result != "0" && e.Result != "ENOTDIR" && (e.Result == "ENOENT") != absent:
			t.Errorf("%s %s is %s, result %s", e.Syscall, e.Path, e.State, e.Result)
		}
		known++
	}
	if known > recorded || known < recorded*9/10 {
		t.Errorf("%d results are known of %d recorded calls", known, recorded)
	}
}

// TestLeavesNothing: a process that has got the recorder has the descriptors, signals and
// signal dispositions that it had, and so do its children.
func TestLeavesNothing(t *testing.T) {
	needRecorder(t)
	dir := harness.TempTree(t)
	argv := []string{"bash", "-c", `trap : USR1
		for i in 1 2 3; do [ -e /etc/passwd ]; [ -e /missing ]; done
		show() { ls /proc/$1/fd; grep -E "^(Sig[PBIC]|Shd)" /proc/$1/status; grep -c memfd /proc/$1/maps; }
		show $$; (for i in 1 2 3; do [ -e /etc/passwd ]; done; show $BASHPID); exec 9</dev/null; ls -l /proc/self/fd/9 >/dev/null && [ -e /proc/$$/fd/9 ] && echo 9`}
	harness.NeedTool(t, "bash")
	with, _, recorded := run(t, dir, filepath.Join(t.TempDir(), "record"), argv, "--recorder", "auto")
	without, _, _ := run(t, dir, filepath.Join(t.TempDir(), "record"), argv, "--recorder", "off")
	// The two files that are mapped show, in parent and child.
	if want := strings.ReplaceAll(without, "\n0\n", "\n2\n"); with != want || recorded == 0 {
		t.Errorf("%d calls were recorded; with:\n%s\nwithout:\n%s", recorded, with, without)
	}
}

// TestFewFiles: fstrace may have few files open. Many processes that record at once leave
// it those that it needs to end them.
func TestFewFiles(t *testing.T) {
	needRecorder(t)
	const limit, processes = 48, 60
	script := fmt.Sprintf(`i=0; while [ $i -lt %d ]; do sleep 600 & i=$((i+1)); done; exec sleep 600`, processes)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", fmt.Sprintf(`ulimit -n %d; exec "$@"`, limit), "sh",
		harness.FstraceEager.Install(t, harness.OpenDir(t)), "--recorder", "auto", "-o", "/dev/null", "--timeout", "1s", "--kill-after", "10m", "--", "sh", "-c", script)
	out, err := cmd.CombinedOutput()
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGTERM {
		t.Errorf("%v, want SIGTERM\n%s", err, out)
	}
}
