package ipc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/testdata/harness"
	"github.com/fstrace/fstrace/tracer"
	"golang.org/x/sys/unix"
)

// launched starts a command's process for the server to adopt.
func launched(t testing.TB, c *Client, q *RunRequest, out *os.File) (*tracer.Launch, *Stream) {
	t.Helper()
	cmd := &tracer.Cmd{Stdout: out}
	l, err := cmd.Launch()
	if err != nil {
		t.Fatal(err)
	}
	q.Launch = l
	s, err := c.Run(testContext(t), q)
	l.CloseControl()
	if err != nil {
		l.Close()
		_, _ = l.Wait(nil)
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(); l.Close() })
	return l, s
}

func TestAdopt(t *testing.T) {
	client, _ := startDaemon(t)
	w, read := pipe(t)
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	l, s := launched(t, client, sh(dir, "echo $PPID; cut -d' ' -f5,6 /proc/$$/stat; cat /etc/hostname >/dev/null; exit 9"), w)
	if ran, err := s.Running(); !ran || err != nil {
		t.Errorf("running: %v, %v", ran, err)
	}
	list, trailer := readRecord(t, s)
	ended, err := l.Wait(nil)
	if err != nil || ended.Status.ExitStatus() != 9 || trailer.Exit.Code != 9 || !trailer.Complete() {
		t.Errorf("%v, %v, %+v", ended.Exit, err, trailer)
	}
	session, err := unix.Getsid(0)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := read(), fmt.Sprintf("%d\n%d %d\n", os.Getpid(), unix.Getpgrp(), session); got != want {
		t.Errorf("parent, group and session are %q, want %q", got, want)
	}
	if !hasPath(list, "/etc/hostname") {
		t.Error("the file that was read is not in the record")
	}
}

// TestAdoptSame: adopted, started by the server or traced right here, a command has
// the same record.
func TestAdoptSame(t *testing.T) {
	client, _ := startDaemon(t)
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	const script = `for f in /etc/hostname /no/such/file; do cat $f; done >/dev/null 2>&1; ls / >/dev/null; (exit 3)`
	q := sh(dir, script)
	own, _ := run(t, client, q)
	l, s := launched(t, client, sh(dir, script), nil)
	adopted, _ := readRecord(t, s)
	if _, err := l.Wait(nil); err != nil {
		t.Fatal(err)
	}
	var here collector
	cmd := &tracer.Cmd{Path: q.Argv[0], Args: q.Argv, Env: q.Env, Dir: dir, Sink: &here}
	var exit *tracer.ExitError
	if err := cmd.Run(); !errors.As(err, &exit) {
		t.Fatalf("%v, want the exit status 3", err)
	}
	want := outline(here.list)
	for name, list := range map[string][]*events.Event{"run": own, "adopted": adopted} {
		if got := outline(list); !slices.Equal(got, want) {
			t.Errorf("%s:\n%s\nwant:\n%s", name, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// A collector keeps a record.
type collector struct{ list []*events.Event }

func (*collector) Begin(*events.Header) error { return nil }
func (*collector) End(*events.Trailer) error  { return nil }

func (c *collector) Event(e *events.Event) error {
	kept := *e
	c.list = append(c.list, &kept)
	return nil
}

// outline gives events without what differs from one run to the next: times, and
// process numbers, which are counted instead. They are sorted by process: what is
// said of an end can come after what the end made possible.
func outline(list []*events.Event) (lines []string) {
	numbers := make(map[int]int)
	number := func(pid int) int {
		if _, ok := numbers[pid]; !ok && pid != 0 {
			numbers[pid] = len(numbers) + 1
		}
		return numbers[pid]
	}
	for _, e := range list {
		path := strings.ReplaceAll(e.Path, fmt.Sprintf("/proc/%d/", e.PID), "/proc/SELF/")
		lines = append(lines, fmt.Sprintf("%3d ", number(e.PID))+fmt.Sprint(e.Op, e.Syscall, path, e.As, e.Flags, e.State, e.Exe, e.Argv, e.Cwd, e.Links, e.Exit != nil))
	}
	slices.SortStableFunc(lines, func(a, b string) int { return strings.Compare(a[:4], b[:4]) })
	return lines
}

// TestAdoptNotExecuted: the record says so, and the process ends as a shell would.
func TestAdoptNotExecuted(t *testing.T) {
	client, _ := startDaemon(t)
	q := sh("/", "")
	q.Argv = []string{"/no/such/command"}
	l, s := launched(t, client, q, nil)
	_, trailer := readRecord(t, s)
	ended, err := l.Wait(nil)
	if err != nil || ended.Status.ExitStatus() != 127 || trailer.Exit.Code != 127 || s.Result().NotExecuted == "" {
		t.Errorf("%v, %v, %+v, %+v", ended.Exit, err, trailer.Exit, s.Result())
	}
}

// TestAdoptNotify: without ptrace the root's end shows by its pidfd.
func TestAdoptNotify(t *testing.T) {
	client, _ := startDaemon(t)
	q := sh("/", "cat /etc/hostname >/dev/null; kill -USR1 $$")
	q.Options.Lifecycle = "notify"
	l, s := launched(t, client, q, nil)
	list, trailer := readRecord(t, s)
	ended, err := l.Wait(nil)
	if err != nil || ended.Status.Signal() != unix.SIGUSR1 || trailer.Exit.Signal != "SIGUSR1" {
		t.Errorf("%v, %v, %+v", ended.Exit, err, trailer)
	}
	if !hasPath(list, "/etc/hostname") {
		t.Error("the file that was read is not in the record")
	}
}

// TestAdoptStops: job control reaches the parent, as it does without a daemon.
func TestAdoptStops(t *testing.T) {
	client, _ := startDaemon(t)
	l, s := launched(t, client, sh("/", "kill -STOP $$; exit 4"), nil)
	stops := 0
	ended, err := l.Wait(func(sig unix.Signal) {
		stops++
		if sig != unix.SIGSTOP {
			t.Errorf("stopped by %v", sig)
		}
		if err := l.Signal(unix.SIGCONT); err != nil {
			t.Error(err)
		}
	})
	if err != nil || ended.Status.ExitStatus() != 4 || stops != 1 {
		t.Errorf("%v, %v, %d stops", ended.Exit, err, stops)
	}
	if _, trailer := readRecord(t, s); trailer.Exit.Code != 4 {
		t.Errorf("%+v", trailer.Exit)
	}
}

// TestAdoptRefused: what is passed on is looked at.
func TestAdoptRefused(t *testing.T) {
	client, _ := startDaemon(t)
	control := silentControl(t)
	self := pidfd(t, os.Getpid())
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for name, l := range map[string]*tracer.Launch{
		"no socket":       {Control: null, Process: self},
		"no pidfd":        {Control: control, Process: null},
		"no child of his": {Control: control, Process: self},
	} {
		q := sh("/", "true")
		q.Launch = l
		if s, err := client.Run(testContext(t), q); !errors.Is(err, ErrCannotRun) {
			t.Errorf("%s: %v", name, err)
			if err == nil {
				s.Close()
			}
		}
	}
}

// silentControl returns a control socket at whose other end nobody answers.
func silentControl(t testing.TB) *os.File {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	control := os.NewFile(uintptr(pair[0]), "control")
	t.Cleanup(func() { control.Close(); unix.Close(pair[1]) })
	return control
}

func pidfd(t testing.TB, pid int) *os.File {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "pidfd")
	t.Cleanup(func() { f.Close() })
	return f
}

// TestAdoptSilent: a process that does not answer holds up its own session alone, and
// that only as long as its client is there.
func TestAdoptSilent(t *testing.T) {
	client, _ := startDaemon(t)
	control := silentControl(t)
	silent := exec.Command("sleep", "1000")
	if err := silent.Start(); err != nil {
		t.Fatal(err)
	}
	defer silent.Wait()
	defer silent.Process.Kill()
	q := sh("/", "true")
	q.Launch = &tracer.Launch{Control: control, Process: pidfd(t, silent.Process.Pid)}
	ctx, leave := context.WithCancel(testContext(t))
	refused := make(chan error, 1)
	go func() {
		s, err := client.Run(ctx, q)
		if err == nil {
			s.Close()
		}
		refused <- err
	}()
	running := func() int {
		st, err := client.Statistics(testContext(t))
		if err != nil {
			t.Fatal(err)
		}
		return st.SessionsRunning
	}
	harness.Eventually(t, "the session begins", func() bool { return running() == 1 })
	run(t, client, sh("/", "true"))
	leave()
	if err := <-refused; err == nil {
		t.Error("adopted without an answer")
	}
	harness.Eventually(t, "the session ends", func() bool { return running() == 0 })
}
