package programs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/fstrace/fstrace/testdata/harness"
	"github.com/fstrace/fstrace/testdata/oracle"
)

// oneAtATime are the workloads whose processes never run side by side: of them the
// records are compared process by process and event by event.
var oneAtATime = []string{"cat", "cat_stdin", "gcc", "python"}

// connectedWorkloads are those that are compared in an ordinary run; all are under
// make stress.
var connectedWorkloads = append([]string{"shell", "busybox"}, oneAtATime...)

// The same command gives the same record with fstraced and without, but for ids and
// times, and prints, leaves and returns the same.
func TestConnectSameRecord(t *testing.T) {
	d := harness.StartDaemon(t)
	for i := range workloads {
		w := &workloads[i]
		if os.Getenv("FSTRACE_STRESS") == "" && !slices.Contains(connectedWorkloads, w.name) {
			continue
		}
		t.Run(w.name, func(t *testing.T) {
			b := newBench(t, w, nil)
			argv := w.argv(b)
			embedded, connected := b.base+"/embedded.jsonl", b.base+"/connected.jsonl"
			want := b.run(t, w, append([]string{harness.Fstrace(t), "-f", "jsonl", "-o", embedded, "--"}, argv...)...)
			got := b.run(t, w, append([]string{harness.Fstrace(t), d.Connect(), "-f", "jsonl", "-o", connected, "--"}, argv...)...)
			if got.Status != want.Status || untimed(w.lines(got.Stdout)) != untimed(w.lines(want.Stdout)) || untimed(w.lines(got.Stderr)) != untimed(w.lines(want.Stderr)) {
				t.Errorf("connected: status %#x, output %q, %q\nembedded: %#x, %q, %q", got.Status, got.Stdout, got.Stderr, want.Status, want.Stdout, want.Stderr)
			}
			compareTrees(t, w, want.Tree, got.Tree)
			r := harness.ReadRecord(t, connected)
			harness.CheckRecord(t, r, argv, got.Status)
			if slices.Contains(oneAtATime, w.name) {
				if diff := harness.LineDiff(renderRecord(harness.ReadRecord(t, embedded)), renderRecord(r)); diff != "" {
					t.Errorf("the records differ (-embedded +connected):\n%s", diff)
				}
				return
			}
			sameAccesses(t, harness.ReadRecord(t, embedded), r)
		})
	}
}

// sameAccesses compares which accesses two records have, in whichever order.
func sameAccesses(t *testing.T, embedded, connected *harness.Record) {
	t.Helper()
	want, got := oracle.Comparable(recordAccesses(embedded)), oracle.Comparable(recordAccesses(connected))
	for a := range maps.Keys(want) {
		if _, ok := got[a]; !ok {
			t.Errorf("only embedded: %v (%s)", a, want[a])
		}
	}
	for a := range maps.Keys(got) {
		if _, ok := want[a]; !ok {
			t.Errorf("only connected: %v (%s)", a, got[a])
		}
	}
}

// renderRecord makes a line of each event, process by process, with processes numbered
// in the order in which they come. An exit may come after what the parent does next
// (docs/jsonl.md), so numbers of events are left out, as times are.
func renderRecord(r *harness.Record) []string {
	numbers := map[int]int{}
	number := func(pid int) int {
		if _, ok := numbers[pid]; !ok {
			numbers[pid] = len(numbers)
		}
		return numbers[pid]
	}
	processes := map[int][]string{}
	all := []string{fmt.Sprint(r.Header["argv"], r.Header["cwd"])}
	for _, e := range r.Events {
		e.PID, e.TID = number(e.PID), number(e.TID)
		e.Seq, e.PPID = 0, 0 // the command's parent is fstrace
		for _, s := range []*string{&e.Path, &e.As, &e.To, &e.ToAs, &e.Target, &e.Real, &e.Exe} {
			*s = oracle.Rewrite(*s)
		}
		for i := range e.Links {
			e.Links[i] = harness.Link{Path: oracle.Rewrite(e.Links[i].Path), Target: oracle.Rewrite(e.Links[i].Target)}
		}
		for i := range e.Argv {
			e.Argv[i] = oracle.Rewrite(e.Argv[i])
		}
		processes[e.PID] = append(processes[e.PID], fmt.Sprintf("%+v", e))
	}
	for n := range len(numbers) {
		all = append(all, processes[n]...)
	}
	return append(all, fmt.Sprint(r.Trailer["exit"], r.Trailer["complete"], r.Trailer["counts"]))
}

// The other formats are the same to the byte, but for ids.
func TestConnectSameFormats(t *testing.T) {
	d := harness.StartDaemon(t)
	exe, dir := harness.Fstrace(t), harness.OpenDir(t)
	harness.WriteFile(t, dir+"/in", "content\n")
	w := &workload{}
	for name, flags := range map[string][]string{
		"text":     {"-f", "text", "-v"},
		"filtered": {"-f", "jsonl", "--only", dir + "/**", "--ignore", "**/out", "-v"},
		"depfile":  {"-f", "depfile", "--depfile-target", "out", "-v"},
		"manifest": {"-f", "manifest", "--root", ".", "-v"},
	} {
		t.Run(name, func(t *testing.T) {
			b := &bench{dir: dir, pristine: dir + ".pristine", base: dir, path: harness.StandardPath, env: append(os.Environ(), "XDG_CACHE_HOME="+harness.OpenDir(t))}
			if err := os.CopyFS(b.pristine, os.DirFS(dir)); err != nil {
				t.Fatal(err)
			}
			defer removeAll(t, b.pristine)
			var records, said [2]string
			file := filepath.Join(harness.OpenDir(t), "record")
			for i, connect := range [][]string{nil, {d.Connect()}} {
				argv := append(append([]string{exe, "-o", file}, flags...), connect...)
				o := b.run(t, w, append(argv, "--", "/bin/sh", "-c", "cat in >out; cat missing; cp out copy; exit 3")...)
				if harness.StatusName(o.Status) != "3" {
					t.Fatalf("%q: status %s: %s", argv, harness.StatusName(o.Status), o.Stderr)
				}
				content, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				records[i], said[i] = withoutIDs(string(content)), calls.ReplaceAllString(untimed(o.Stderr), "")
				if name == "filtered" { // a process's end comes when it comes
					records[i] = strings.Join(sortedLines(records[i]), "\n")
				}
			}
			if diff := harness.LineDiff(harness.Lines(records[0]), harness.Lines(records[1])); diff != "" || !strings.Contains(records[0], "/in") && !strings.Contains(records[0], `"in"`) {
				t.Errorf("the records differ (-embedded +connected):\n%s", diff)
			}
			if diff := harness.LineDiff(harness.Lines(said[0]), harness.Lines(said[1])); diff != "" {
				t.Errorf("standard error (-embedded +connected):\n%s", diff)
			}
		})
	}
}

// calls is what -v says of the recorder: how many calls differs from run to run, and
// fstraced does not say.
var calls = regexp.MustCompile(`(?m)^fstrace: calls .*\n`)

// withoutIDs takes out what differs from one run of a command to the next.
func withoutIDs(s string) string {
	s = result.ReplaceAllString(told.ReplaceAllString(s, ""), "")
	for _, id := range ids {
		s = id.ReplaceAllString(s, "ID")
	}
	return s
}

// told is left out of a directory that has just been made.
var told = regexp.MustCompile(`,"told":\{[^}]*\}`)

// result is that of a call that was recorded, of which there are more or fewer.
var result = regexp.MustCompile(`,"result":(0|"\w+")`)

var ids = []*regexp.Regexp{
	regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`),
	regexp.MustCompile(`"(time|end)": ?"[^"]*"`),
	regexp.MustCompile(`"(seq|pid|tid|ppid)": ?\d+`),
	regexp.MustCompile(`"crc32c": ?"[0-9a-f]{8}"`),
	regexp.MustCompile(`\b20\d\d-\d\d-\d\dT[0-9:.]+Z`),
}

// A record that is longer than the pipes and buffers between daemon and client, and
// that nobody reads for as long as the command runs, is whole.
func TestConnectLongRecord(t *testing.T) {
	d := harness.StartDaemon(t)
	n := 20_000
	if os.Getenv("FSTRACE_STRESS") != "" {
		n = 300_000
	}
	file := filepath.Join(t.TempDir(), "record")
	tr := &harness.Trial{Dir: t.TempDir()}
	script := fmt.Sprintf("i=0; while [ $i -lt %d ]; do [ -e missing ]; i=$((i+1)); done", n)
	o := tr.Run(t, []string{harness.Fstrace(t), d.Connect(), "-f", "jsonl", "-o", file, "--", "/bin/sh", "-c", script})
	if harness.StatusName(o.Status) != "0" || o.Stderr != "" {
		t.Fatalf("status %s: %s", harness.StatusName(o.Status), o.Stderr)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var seq, stats int
	for line := range bytes.Lines(content) {
		var e struct {
			Seq  int    `json:"seq"`
			Path string `json:"path"`
		}
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatal(err)
		}
		if e.Seq != 0 && e.Seq != seq+1 {
			t.Fatalf("event %d follows event %d", e.Seq, seq)
		}
		seq = max(seq, e.Seq)
		if filepath.Base(e.Path) == "missing" {
			stats++
		}
	}
	if stats != n {
		t.Errorf("%d of %d accesses", stats, n)
	}
}
