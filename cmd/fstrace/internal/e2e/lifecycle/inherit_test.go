package lifecycle

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fstrace/fstrace/testdata/harness"
	"golang.org/x/sys/unix"
)

// What a command inherits: a program that prints all of it runs twice from one
// shell, once under fstrace (testdata/lifecycle/inherited.c).
func TestInherited(t *testing.T) {
	exe := harness.BuildC(t, "gcc", "lifecycle/inherited")
	for _, test := range []struct {
		name  string
		how   string // a script, in which "$@" stands for the command
		tools []string
		root  bool
	}{
		{"plain", `"$@"`, nil, false},
		{"nohup", `nohup "$@" >/dev/null 2>&1`, []string{"nohup"}, false},
		{"trap PIPE", `trap '' PIPE; "$@"`, nil, false},
		{"trap all", `trap '' HUP INT QUIT PIPE ALRM TERM USR1 USR2 TSTP TTIN TTOU CONT WINCH URG PROF VTALRM IO XCPU XFSZ PWR SYS TRAP ABRT; "$@"`, nil, false},
		{"ignored real-time signals", `env --ignore-signal=RTMIN,RTMIN+7,RTMAX "$@"`, []string{"env"}, false},
		{"ignored CHLD", `env --ignore-signal=CHLD "$@"`, []string{"env"}, false},
		{"blocked TERM", `env --block-signal=TERM "$@"`, []string{"env"}, false},
		{"blocked many", `env --block-signal=INT,QUIT,PROF,URG,CHLD,CONT,TSTP,RTMIN+3,SEGV,ALRM,PIPE "$@"`, []string{"env"}, false},
		{"low NOFILE", `ulimit -n 64; "$@"`, nil, false},
		{"low soft NOFILE", `ulimit -S -n 40; "$@"`, nil, false},
		{"soft NOFILE above Go's", `prlimit --nofile=300:4000 "$@"`, []string{"prlimit"}, false},
		{"limits", `prlimit --core=0:0 --stack=4194304:8388608 --cpu=500:600 --fsize=10000000:20000000 --memlock=64000:64000 "$@"`, []string{"prlimit"}, false},
		{"core", `prlimit --core=unlimited:unlimited "$@"`, []string{"prlimit"}, true},
		{"timer slack", `sh -c 'echo 123456 >/proc/$$/timerslack_ns; exec "$@"' sh "$@"`, nil, true},
		{"umask", `umask 027; "$@"`, nil, false},
		{"umask none", `umask 0; "$@"`, nil, false},
		{"nice", `nice -n 5 "$@"`, []string{"nice"}, false},
		{"nice negative", `nice -n -5 "$@"`, []string{"nice"}, true},
		{"io priority", `ionice -c 3 "$@"`, []string{"ionice"}, false},
		{"scheduler", `chrt -b 0 "$@"`, []string{"chrt"}, false},
		{"affinity", `taskset -c 1 "$@"`, []string{"taskset"}, false},
		{"OOM score", `echo 500 >/proc/self/oom_score_adj; sh -c '"$@"' sh "$@"`, nil, false},
		{"personality", `setarch -R "$@"`, []string{"setarch"}, false},
		{"closed standard input", `"$@" <&-`, nil, false},
		{"closed standard output", `"$@" >&-`, nil, false},
		{"closed standard error", `"$@" 2>&-`, nil, false},
		{"closed all", `"$@" <&- >&- 2>&-`, nil, false},
		{"more descriptors", `"$@" 3</dev/null 7>>appended 9<>/dev/zero 12<.`, nil, false},
		{"input at an offset", `{ read line; "$@"; } <lines`, nil, false},
		{"environment empty", `env -i "$@"`, []string{"env"}, false},
		{"environment odd", `env -i A= B==b 'C=x y' D="$(printf 'a\nb')" GODEBUG=x GOGC=1 GOMAXPROCS=1 FSTRACE_FAILPOINT=before-exec=/nowhere "$@"`, []string{"env"}, false},
		{"capabilities", `setpriv --inh-caps=-all --bounding-set=-sys_time "$@"`, []string{"setpriv"}, true},
		{"other user", `setpriv --reuid=65534 --regid=65534 --clear-groups "$@"`, []string{"setpriv"}, true},
		{"directory removed", `mkdir gone; cd gone; rmdir ../gone; "$@"`, nil, false},
	} {
		t.Run(strings.ReplaceAll(test.name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			for _, tool := range test.tools {
				harness.NeedTool(t, tool)
			}
			if test.root {
				harness.NeedRoot(t, test.how)
			}
			fstrace := harness.Fstrace(t)
			dir := harness.OpenDir(t)
			if err := os.Chmod(dir, 0o777); err != nil {
				t.Fatal(err)
			}
			harness.WriteFile(t, filepath.Join(dir, "lines"), "one\ntwo\n")
			files := [2]string{filepath.Join(dir, "bare"), filepath.Join(dir, "traced")}
			tr := &harness.Trial{Dir: dir}
			script := `exe=$1 bare=$2 traced=$3 fstrace=$4
				run() { ` + test.how + `; }
				(set -- "$exe" "$bare"; run "$@") || echo "bare: $?" >&2
				(set -- "$fstrace" -q -o "$traced.record" -- "$exe" "$traced"; run "$@") || echo "traced: $?" >&2`
			got := tr.Bare(t, "sh", "-c", script, "sh", exe, files[0], files[1], fstrace)
			if strings.Contains(got.Stderr, "bare: ") || strings.Contains(got.Stderr, "traced: ") {
				t.Fatalf("ended with %s:\n%s", harness.StatusName(got.Status), got.Stderr)
			}
			var said [2][]string
			for i, file := range files {
				content, err := os.ReadFile(file)
				if err != nil {
					t.Fatalf("%v\n%s", err, got.Stderr)
				}
				s := strings.NewReplacer(file, "FILE").Replace(string(content))
				said[i] = harness.Lines(s)
			}
			if diff := harness.LineDiff(said[0], said[1]); diff != "" {
				t.Errorf("inherited (-bare +traced):\n%s", diff)
			}
		})
	}
}

// With few open files allowed and many processes alive, none of them is left out:
// not of the record, and not by a timeout.
func TestManyProcessesFewFiles(t *testing.T) {
	const processes, limit = 60, 48
	dir := t.TempDir()
	script := fmt.Sprintf(`i=0; while [ $i -lt %d ]; do sleep 600 & i=$((i+1)); done; : <seen; exec sleep 600`, processes)
	harness.WriteFile(t, filepath.Join(dir, "seen"), "")
	seen := func(e harness.Event) bool { return e.Path == filepath.Join(dir, "seen") }
	file := filepath.Join(dir, "record")
	tr := &harness.Trial{Dir: dir}
	exe := harness.Fstrace(t)
	var r *harness.Record
	for _, timeout := range []string{"2s", "30s"} { // on a machine that is busy it may take longer
		got := tr.Bare(t, "sh", "-c", fmt.Sprintf(`ulimit -n %d; exec "$@"`, limit), "sh",
			exe, "-f", "jsonl", "-o", file, "--timeout", timeout, "--kill-after", "10m", "--", "sh", "-c", script)
		if s := harness.StatusName(got.Status); s != "SIGTERM" {
			t.Errorf("ended with %s: %s", s, got.Stderr)
		}
		if r = harness.ReadRecord(t, file); slices.ContainsFunc(r.Events, seen) {
			break
		}
	}
	if !slices.ContainsFunc(r.Events, seen) {
		t.Error("the file opened last is not in the record")
	}
	harness.WantComplete(t, r)
	harness.CheckProcesses(t, r.Events)
	ends := 0
	for _, e := range r.Events {
		if e.Op == "exit" && e.Signal == "SIGTERM" {
			ends++
		}
	}
	if ends != processes+1 {
		t.Errorf("%d processes were ended, want %d", ends, processes+1)
	}
}

// A parent-death signal that was set for fstrace reaches the command: fstrace takes
// it for the command's.
func TestParentDeathSignal(t *testing.T) {
	harness.NeedTool(t, "setpriv")
	exe, dir := harness.Fstrace(t), t.TempDir()
	cmd := exec.Command("sh", "-c", `setpriv --pdeathsig TERM "$@" & wait`, "sh",
		exe, "-o", filepath.Join(dir, "record"), "--", "sh", "-c", "echo $$; exec sleep 600")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := out.(*os.File).SetReadDeadline(time.Now().Add(harness.Patience)); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Fscan(out, &pid); err != nil {
		t.Fatal(err)
	}
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	cmd.Process.Kill()
	cmd.Process.Wait()
	harness.Gone(t, pidfd)
	(&harness.Session{T: t, Exe: exe}).NothingLeft()
}
