package ipc

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fstrace/fstrace/events"
	"golang.org/x/sys/unix"
)

func TestRun(t *testing.T) {
	client, _ := startServer(t, nil)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "in"), []byte("hello\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w, read := pipe(t)
	q := sh(dir, "cat in; umask; echo $0 $FOO")
	q.Env = append(q.Env, "FOO=bar")
	mask := 0o37
	q.Umask, q.Files = &mask, map[int]*os.File{1: w}
	list, trailer := run(t, client, q)
	if got, want := read(), "hello\n0037\n/bin/sh bar\n"; got != want {
		t.Errorf("output %q, want %q", got, want)
	}
	if !trailer.Complete() || trailer.Exit.Code != 0 {
		t.Errorf("trailer %+v", trailer)
	}
	if !hasPath(list, filepath.Join(dir, "in")) {
		t.Error("the file that was read is not in the record")
	}
	for i, e := range list {
		if e.Seq != uint64(i+1) {
			t.Fatalf("event %d has seq %d", i+1, e.Seq)
		}
	}
}

// TestRunLimits: a command has the limits and the nice value that were asked for, and
// what it has used is reported at the end.
func TestRunLimits(t *testing.T) {
	client, _ := startServer(t, nil)
	ctx := testContext(t)
	w, read := pipe(t)
	q := sh(t.TempDir(), "ulimit -Sn; ulimit -Hn; nice")
	nice := 3
	q.Limits, q.Nice, q.Files = []ResourceLimit{{"nofile", 50, 60}, {"core", 0, -1}}, &nice, map[int]*os.File{1: w}
	s, err := client.Run(ctx, q)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	readRecord(t, s)
	if got, want := read(), "50\n60\n3\n"; got != want {
		t.Errorf("output %q, want %q", got, want)
	}
	if u := s.Result().Usage; u == nil || u.UserMicros+u.SystemMicros == 0 || u.MaxRSSBytes < 1<<20 {
		t.Errorf("usage %+v", u)
	}
	for want, change := range map[string]func(*RunRequest){
		"limits[0]": func(q *RunRequest) { q.Limits = []ResourceLimit{{"files", 1, 1}} },
		"limits[1]": func(q *RunRequest) { q.Limits = []ResourceLimit{{"cpu", 1, 1}, {"cpu", 1, 1}} },
		"nice":      func(q *RunRequest) { n := 20; q.Nice = &n },
	} {
		q := sh("/", "true")
		change(q)
		if _, err := client.Run(ctx, q); !errors.Is(err, ErrInvalidParameter) || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	q = sh("/", "true")
	q.Limits = []ResourceLimit{{"nofile", 2, 1}}
	if _, err := client.Run(ctx, q); !errors.Is(err, ErrCannotRun) {
		t.Errorf("soft above hard: %v", err)
	}
}

// TestRunDescriptors: a command has the descriptors that were named for it, and no
// other, whatever the daemon and its other commands have.
func TestRunDescriptors(t *testing.T) {
	client, _ := startServer(t, nil)
	ctx := testContext(t)
	hold, release := pipe(t)
	other := sh(t.TempDir(), "exec sleep 1000")
	other.Files = map[int]*os.File{1: hold, 7: hold}
	s, err := client.Run(ctx, other)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	w, read := pipe(t)
	q := sh(t.TempDir(), "ls /proc/self/fd | tr '\\n' ' '; echo five >&5")
	q.Files = map[int]*os.File{1: w, 5: w, 11: w}
	run(t, client, q)
	// ls itself opens the directory, as the lowest number that is free.
	if got, want := read(), "0 1 11 2 3 5 five\n"; got != want {
		t.Errorf("descriptors %q, want %q", got, want)
	}
	if err := client.Cancel(ctx, s.Session(), 0); err != nil {
		t.Fatal(err)
	}
	release()
}

func TestRunNotExecuted(t *testing.T) {
	client, _ := startServer(t, nil)
	s, err := client.Run(testContext(t), &RunRequest{Argv: []string{"no-such-command"}, Env: []string{"PATH=/usr/bin:/bin"}, Cwd: "/"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if ran, err := s.Running(); ran || err != nil {
		t.Errorf("running: %v, %v", ran, err)
	}
	list, trailer := readRecord(t, s)
	if trailer.Exit.Code != 127 || !strings.Contains(s.Result().NotExecuted, "command not found") {
		t.Errorf("%+v, %+v", trailer.Exit, s.Result())
	}
	if !hasPath(list, "/usr/bin/no-such-command") {
		t.Error("where it was looked for is not in the record")
	}
}

func TestRunCannot(t *testing.T) {
	client, _ := startServer(t, nil)
	ctx := testContext(t)
	for name, c := range map[string]struct {
		change func(*RunRequest)
		want   error
	}{
		"directory": {func(q *RunRequest) { q.Cwd = "/no/such/directory" }, ErrCannotRun},
		"relative":  {func(q *RunRequest) { q.Cwd = "relative" }, ErrInvalidParameter},
		"argv":      {func(q *RunRequest) { q.Argv = nil }, ErrInvalidParameter},
		"env":       {func(q *RunRequest) { q.Env = nil }, ErrInvalidParameter},
		"nul":       {func(q *RunRequest) { q.Argv = []string{"a\x00b"} }, ErrInvalidParameter},
		"wait":      {func(q *RunRequest) { q.Options.Wait = "never" }, ErrInvalidParameter},
		"glob":      {func(q *RunRequest) { q.Options.Only = []string{"["} }, ErrCannotRun},
	} {
		t.Run(name, func(t *testing.T) {
			q := sh("/", "true")
			c.change(q)
			s, err := client.Run(ctx, q)
			if err == nil {
				s.Close()
			}
			if !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
		})
	}
	statistics, err := client.Statistics(ctx)
	if err != nil || statistics.SessionsRunning != 0 {
		t.Errorf("%+v, %v", statistics, err)
	}
}

// TestStrings: what is not UTF-8 arrives as it is.
func TestStrings(t *testing.T) {
	client, _ := startServer(t, nil)
	dir := filepath.Join(t.TempDir(), "d\xff")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	w, read := pipe(t)
	q := sh(dir, "printf %s \"$1$V\"; : >out")
	q.Argv = append(q.Argv, "sh", "\xfe")
	q.Env = append(q.Env, "V=\xfd")
	q.Files = map[int]*os.File{1: w}
	list, _ := run(t, client, q)
	if got := read(); got != "\xfe\xfd" {
		t.Errorf("output %q", got)
	}
	if !hasPath(list, filepath.Join(dir, "out")) {
		t.Error("the path is not in the record")
	}
	sessions, err := client.List(testContext(t))
	if err != nil || len(sessions) != 1 || sessions[0].Directory() != dir || sessions[0].Command()[4] != "\xfe" {
		t.Errorf("list: %+v, %v", sessions, err)
	}
}

// TestSubscribe: late and partial readers get what the first one got.
func TestSubscribe(t *testing.T) {
	client, _ := startServer(t, nil)
	ctx := testContext(t)
	s, err := client.Run(ctx, sh(t.TempDir(), "for i in 1 2 3 4 5 6 7 8 9; do cat /etc/hostname; done"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	record, err := io.ReadAll(s.Record())
	if err != nil {
		t.Fatal(err)
	}
	whole := bytes.SplitAfter(record, []byte{'\n'})
	whole = whole[:len(whole)-1]
	for _, from := range []int{0, 1, 2, 20, len(whole) - 2, len(whole) + 10} {
		again, err := client.Subscribe(ctx, s.Session(), uint64(from))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(again.Record())
		again.Close()
		if err != nil {
			t.Fatal(err)
		}
		want := bytes.Clone(whole[0])
		want = append(want, bytes.Join(whole[min(max(from, 1), len(whole)-1):], nil)...)
		if !bytes.Equal(got, want) {
			t.Errorf("from %d: %d lines, want %d", from, lines(got), lines(want))
		}
	}
	if _, err := client.Subscribe(ctx, "no-such-session", 0); !errors.Is(err, ErrNoSuchSession) {
		t.Errorf("error %v", err)
	}
}

func TestCancel(t *testing.T) {
	client, _ := startServer(t, nil)
	ctx := testContext(t)
	w, read := pipe(t)
	q := sh(t.TempDir(), "trap '' TERM; echo ready >&5; exec 5>&-; while :; do sleep 1000; done")
	q.Files = map[int]*os.File{5: w}
	s, err := client.Run(ctx, q)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got := read(); got != "ready\n" {
		t.Fatalf("output %q", got)
	}
	if err := client.Cancel(ctx, s.Session(), 0); err != nil {
		t.Fatal(err)
	}
	_, trailer := readRecord(t, s)
	if trailer.Exit.Signal != "SIGKILL" || s.Result().Ending != "kill" {
		t.Errorf("%+v, %+v", trailer.Exit, s.Result())
	}
	if err := client.Cancel(ctx, s.Session(), 0); !errors.Is(err, ErrSessionEnded) {
		t.Errorf("error %v", err)
	}
}

// TestSignal: to the command, and to its whole group, which is its own.
func TestSignal(t *testing.T) {
	client, _ := startServer(t, nil)
	ctx := testContext(t)
	for _, group := range []bool{false, true} {
		w, read := pipe(t)
		q := sh(t.TempDir(), "trap 'kill $! 2>/dev/null; exit 7' USR1; sh -c 'echo ready >&5; exec 5>&-; exec sleep 1000' & exec 5>&-; wait")
		q.Options.Wait = "all"
		q.Files = map[int]*os.File{5: w}
		s, err := client.Run(ctx, q)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		read()
		if err := client.Signal(ctx, s.Session(), unix.SIGUSR1, group); err != nil {
			t.Fatal(err)
		}
		list, trailer := readRecord(t, s)
		if trailer.Exit.Code != 7 {
			t.Errorf("group %v: %+v", group, trailer.Exit)
		}
		got := make(map[string]bool)
		for _, e := range list {
			if e.Op == events.OpExit && e.Exit != nil {
				got[e.Exit.Signal] = true
			}
		}
		if got["SIGUSR1"] != group || got["SIGTERM"] == group {
			t.Errorf("group %v: processes ended by %v", group, got)
		}
		if err := client.Cancel(ctx, s.Session(), 0); !errors.Is(err, ErrSessionEnded) {
			t.Errorf("error %v", err)
		}
	}
}
