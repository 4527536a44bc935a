package tracer

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/testdata/harness"
	"golang.org/x/sys/unix"
)

// The test binary is a host program as any other: the shim and the keeper are
// re-executions of it, which the package's init makes of it. It is the helpers
// below too, by an environment variable.

const helperVariable = "FSTRACE_TEST_HELPER"

var helpers = map[string]func(){
	"inherit":      inheritHelper,
	"none":         func() {},
	"tracerThread": tracerThreadHelper,
}

func TestMain(m *testing.M) {
	if helper := helpers[os.Getenv(helperVariable)]; helper != nil {
		helper()
		unix.Exit(0) // os.Exit has the race detector sleep for a second
	}
	os.Exit(m.Run())
}

func helperCommand(name string) *exec.Cmd {
	c := exec.Command("/proc/self/exe")
	c.Env = append(os.Environ(), helperVariable+"="+name)
	return c
}

// A recorder is a sink that keeps the record. Its methods fail as the test wants.
type recorder struct {
	header                       *events.Header
	list                         []events.Event
	trailer                      *events.Trailer
	beginErr, eventErr, endErr   error
	failAfter                    int // events before eventErr
	begins, eventCalls, endCalls int
}

func (r *recorder) Begin(h *events.Header) error {
	r.begins++
	r.header = h
	return r.beginErr
}

func (r *recorder) Event(e *events.Event) error {
	r.eventCalls++
	if r.eventErr != nil && len(r.list) >= r.failAfter {
		return r.eventErr
	}
	r.list = append(r.list, *e)
	return nil
}

func (r *recorder) End(t *events.Trailer) error {
	r.endCalls++
	r.trailer = t
	return r.endErr
}

// accesses lists "OP PATH" of what was done to a path.
func (r *recorder) accesses() (list []string) {
	for i := range r.list {
		if e := &r.list[i]; e.Path != "" {
			list = append(list, e.Op.String()+" "+e.Path)
		}
	}
	return list
}

// needTracing skips where the kernel does not allow what a trace needs.
func needTracing(t testing.TB) {
	t.Helper()
	r := new(recorder)
	c := helperTrace("none", r)
	if err := c.Start(); err != nil {
		t.Skipf("commands cannot be traced here: %v", err)
	}
	if _, err := awaitTrace(t, c); err != nil {
		t.Fatal(err)
	}
	if r.trailer != nil && slices.ContainsFunc(r.trailer.Incomplete, func(in events.Incomplete) bool { return in.Reason == events.ReasonNested }) {
		t.Skip("another listener is installed above")
	}
}

// helperTrace is this binary as a traced command.
func helperTrace(name string, sink events.Sink) *Cmd {
	c := Command("/proc/self/exe")
	c.Env = append(os.Environ(), helperVariable+"="+name)
	c.Sink = sink
	return c
}

func lookPath(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		harness.MissingTool(t, name)
	}
	return path
}

// run traces a command to its end.
func runTrace(t testing.TB, c *Cmd) (*Result, *recorder) {
	t.Helper()
	r, ok := c.Sink.(*recorder)
	if !ok {
		r = new(recorder)
		c.Sink = r
	}
	if err := c.Start(); err != nil {
		t.Fatalf("start %q: %v", c.Args, err)
	}
	res, err := awaitTrace(t, c)
	if err != nil {
		t.Fatalf("await %q: %v", c.Args, err)
	}
	return res, r
}

// ended waits for a command, and returns what became of it and of its record.
func ended(c *Cmd) (*Result, error) {
	err := c.Wait()
	result := c.Result()
	var exit *ExitError
	if errors.As(err, &exit) && exit.Result == result {
		err = nil
	}
	return result, err
}

// awaitTrace is ended with a deadline.
func awaitTrace(t testing.TB, c *Cmd) (res *Result, err error) {
	t.Helper()
	await(t, fmt.Sprintf("the end of %q", c.Args), finished(func() { res, err = ended(c) }))
	return res, err
}

func shell(t testing.TB, script string) *Cmd {
	t.Helper()
	return Command(lookPath(t, "sh"), "-c", script)
}

func TestCmdExit(t *testing.T) {
	needTracing(t)
	dir := harness.TempTree(t)
	tests := []struct {
		script string
		want   events.Exit
		status unix.WaitStatus
	}{
		{"true", events.Exit{}, exited(0)},
		{"false", events.Exit{Code: 1}, exited(1)},
		{"exit 255", events.Exit{Code: 255}, exited(255)},
		{"kill -TERM $$", events.Exit{Signal: "SIGTERM"}, killedBy(unix.SIGTERM)},
		{"kill -KILL $$", events.Exit{Signal: "SIGKILL"}, killedBy(unix.SIGKILL)},
		{"exec " + dir + "/absent/command", events.Exit{Code: 127}, exited(127)},
	}
	for _, test := range tests {
		t.Run(test.script, func(t *testing.T) {
			res, r := runTrace(t, shell(t, test.script))
			if res.Exit != test.want || res.Status != test.status || len(res.Incomplete) > 0 {
				t.Errorf("%+v, want %+v", res, test.want)
			}
			if r.begins != 1 || r.endCalls != 1 || r.trailer.Exit != test.want || !r.trailer.Complete() {
				t.Errorf("%d headers, %d trailers, the last %+v", r.begins, r.endCalls, r.trailer)
			}
			checkRecord(t, r)
		})
	}
}

// checkRecord checks what holds for every record.
func checkRecord(t testing.TB, r *recorder) {
	t.Helper()
	var counts events.Counts
	started, ended := map[int]bool{}, map[int]bool{}
	for i := range r.list {
		e := &r.list[i]
		counts.Add(e)
		if e.Seq != uint64(i+1) {
			t.Errorf("event %d has the number %d", i, e.Seq)
		}
		switch {
		case e.Op == events.OpStart && started[e.PID], e.Op != events.OpStart && !started[e.PID], ended[e.PID]:
			t.Errorf("event %d, %v of %d: started %v, ended %v", i, e.Op, e.PID, started[e.PID], ended[e.PID])
		}
		started[e.PID] = started[e.PID] || e.Op == events.OpStart
		ended[e.PID] = e.Op == events.OpExit
	}
	if r.trailer != nil && r.trailer.Counts != counts {
		t.Errorf("the trailer counts %v, the record has %v", r.trailer.Counts, counts)
	}
	if r.trailer != nil && r.trailer.Complete() && len(started) != len(ended) {
		t.Errorf("%d processes started, %d ended", len(started), len(ended))
	}
}

func TestCmdRecord(t *testing.T) {
	needTracing(t)
	dir := harness.TempTree(t)
	harness.WriteFile(t, dir+"/in", "")
	c := shell(t, "cat in > out")
	c.Dir = dir
	res, r := runTrace(t, c)
	if res.Exit != (events.Exit{}) {
		t.Fatalf("exit %+v", res.Exit)
	}
	for _, want := range []string{"read " + dir + "/in", "write " + dir + "/out"} {
		if !slices.Contains(r.accesses(), want) {
			t.Errorf("no %q in the record", want)
		}
	}
	first := r.list[0]
	if first.Op != events.OpStart || first.PID != c.Pid() || first.PPID != os.Getpid() || first.Cwd != dir {
		t.Errorf("the record begins with %+v", first)
	}
	if r.header.Cwd != dir || !slices.Equal(r.header.Argv, c.Args) || len(r.header.Session) != 36 {
		t.Errorf("header %+v", r.header)
	}
	checkRecord(t, r)
}

// TestCmdNotExecuted: the command is not there, or is no program.
func TestCmdNotExecuted(t *testing.T) {
	needTracing(t)
	dir := harness.TempTree(t)
	harness.WriteFile(t, dir+"/plain", "")
	harness.Mkdir(t, dir+"/bin")
	harness.WriteFile(t, dir+"/bin/denied", "")
	if err := os.WriteFile(dir+"/noloader", []byte("#!"+dir+"/nothing\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, path string
		kind       error
		errno      unix.Errno
		status     int
	}{
		{"missing", dir + "/missing", ErrNotFound, unix.ENOENT, 127},
		{"missing in PATH", "fstrace-no-such-command", ErrNotFound, unix.ENOENT, 127},
		{"empty", "", ErrNotFound, unix.ENOENT, 127},
		{"below a file", dir + "/plain/x", ErrNotFound, unix.ENOTDIR, 127},
		{"not executable", dir + "/plain", ErrNotExecutable, unix.EACCES, 126},
		{"not executable in PATH", "denied", ErrNotExecutable, unix.EACCES, 126},
		{"a directory", dir, ErrNotExecutable, unix.EACCES, 126},
		{"its interpreter is missing", dir + "/noloader", ErrNotExecutable, unix.ENOENT, 126},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := new(recorder)
			c := Command(test.path)
			c.Env = []string{"PATH=" + dir + "/bin:" + dir + "/absent"}
			c.Sink = r
			err := c.Start()
			var e *ExecError
			if !errors.As(err, &e) || !errors.Is(err, test.kind) || !errors.Is(err, test.errno) || e.ExitStatus() != test.status {
				t.Fatalf("start: %v", err)
			}
			if kind := map[error]error{ErrNotFound: ErrNotExecutable, ErrNotExecutable: ErrNotFound}[test.kind]; errors.Is(err, kind) {
				t.Errorf("%v is a %v as well", err, kind)
			}
			res, err := awaitTrace(t, c)
			if err != nil || res.Exit.Code != test.status || r.endCalls != 1 {
				t.Errorf("await: %+v, %v, %d trailers", res, err, r.endCalls)
			}
			checkRecord(t, r)
		})
	}
}

// TestCmdRefused: what cannot even begin says so, and leaves nothing behind.
func TestCmdRefused(t *testing.T) {
	if err := (&Cmd{Path: "true", Args: []string{"true"}}).Start(); err == nil {
		t.Error("a command without a sink was started")
	}
	if err := (&Cmd{Path: "true", Sink: new(recorder)}).Start(); err == nil {
		t.Error("a command without arguments was started")
	}
	if _, err := ended(Command("true")); err == nil {
		t.Error("a command that was not started has ended")
	}
	needTracing(t)
	absent := harness.TempTree(t) + "/absent"
	for _, dir := range []string{absent, absent + "/" + strings.Repeat("d/", 600)} {
		r := new(recorder)
		c := Command("true")
		c.Sink, c.Dir = r, dir
		if err := c.Start(); !errors.Is(err, unix.ENOENT) || r.endCalls > 0 {
			t.Errorf("in a directory of %d bytes that is not there: %v, %d trailers", len(dir), err, r.endCalls)
		}
	}
	c := helperTrace("none", new(recorder))
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err == nil {
		t.Error("a command was started twice")
	}
	if _, err := awaitTrace(t, c); err != nil {
		t.Error(err)
	}
	if err := c.Signal(unix.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("signal to a command that has ended: %v", err)
	}
}

// TestCmdStdio gives a command each descriptor that it can have.
func TestCmdStdio(t *testing.T) {
	needTracing(t)
	dir := harness.TempTree(t)
	if err := os.WriteFile(dir+"/in", []byte("input\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	files := make(map[string]*os.File)
	for _, name := range []string{"out", "err", "three", "five"} {
		files[name] = harness.OpenFile(t, dir+"/"+name, os.O_CREATE|os.O_RDWR)
	}
	c := shell(t, `cat; pwd; echo "$A"; echo to err >&2; echo to three >&3; echo to five >&5; { echo closed >&4; } 2>/dev/null || echo 4 is closed`)
	c.Stdin, c.Stdout, c.Stderr = harness.OpenFile(t, dir+"/in", os.O_RDONLY), files["out"], files["err"]
	c.ExtraFiles = []*os.File{files["three"], nil, files["five"]}
	c.Dir, c.Env = dir, []string{"A=b c\xff", "PATH=" + os.Getenv("PATH")}
	if res, _ := runTrace(t, c); res.Exit != (events.Exit{}) {
		t.Errorf("exit %+v", res.Exit)
	}
	for name, want := range map[string]string{
		"out": "input\n" + dir + "\nb c\xff\n4 is closed\n", "err": "to err\n", "three": "to three\n", "five": "to five\n",
	} {
		if got, err := os.ReadFile(dir + "/" + name); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v, want %q", name, got, err, want)
		}
	}
}

// TestCmdNoStdio: descriptors that are not given are /dev/null, and others are those
// that os/exec would leave to a command.
func TestCmdNoStdio(t *testing.T) {
	needTracing(t)
	c := shell(t, "cat; readlink /proc/self/fd/0 /proc/self/fd/2; ls /proc/self/fd")
	traced, untraced := t.TempDir()+"/traced", t.TempDir()+"/untraced"
	c.Stdout = harness.OpenFile(t, traced, os.O_CREATE|os.O_RDWR)
	runTrace(t, c)
	plain := exec.Command(c.Path, c.Args[1:]...)
	plain.Stdout = harness.OpenFile(t, untraced, os.O_CREATE|os.O_RDWR)
	if err := plain.Run(); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(traced)
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(untraced)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("the command has %q, by os/exec %q, %v", got, want, err)
	}
}

func TestCmdInheritFiles(t *testing.T) {
	needTracing(t)
	out := harness.OpenFile(t, t.TempDir()+"/out", os.O_CREATE|os.O_RDWR)
	const number = 210
	if err := unix.Dup3(int(out.Fd()), number, 0); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(number)
	c := shell(t, fmt.Sprintf("echo here >&%d", number))
	c.Path, c.Args[0] = lookPath(t, "bash"), "bash" // sh may know one digit only
	c.InheritFiles = true
	runTrace(t, c)
	if got, err := os.ReadFile(out.Name()); err != nil || string(got) != "here\n" {
		t.Errorf("through descriptor %d came %q, %v", number, got, err)
	}
}

// TestCmdSinkFails: a sink that fails is the host's affair. The command goes on, the
// error comes back, and a record that is broken gets no end.
func TestCmdSinkFails(t *testing.T) {
	needTracing(t)
	bad := errors.New("the disk is full")
	tests := []struct {
		name string
		sink recorder
		ends int
	}{
		{"header", recorder{beginErr: bad}, 0},
		{"first event", recorder{eventErr: bad}, 0},
		{"later event", recorder{eventErr: bad, failAfter: 10}, 0},
		{"trailer", recorder{endErr: bad}, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			file := t.TempDir() + "/made"
			c := shell(t, "ls / >/dev/null; echo done > "+file+"; exit 3")
			c.Sink = &test.sink
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			res, err := awaitTrace(t, c)
			if !errors.Is(err, bad) || res.Exit.Code != 3 {
				t.Errorf("await: %+v, %v, want exit 3 and %v", res, err, bad)
			}
			if test.sink.endCalls != test.ends {
				t.Errorf("%d trailers, want %d", test.sink.endCalls, test.ends)
			}
			if test.sink.beginErr != nil && test.sink.eventCalls > 0 || test.sink.eventErr != nil && test.sink.eventCalls > len(test.sink.list)+1 {
				t.Errorf("%d events came after the one that failed", test.sink.eventCalls-len(test.sink.list))
			}
			if got, err := os.ReadFile(file); err != nil || string(got) != "done\n" {
				t.Errorf("the command was disturbed: %q, %v", got, err)
			}
		})
	}
}

// A lingering command leaves a descendant behind that does something on request: it reads
// a line from descriptor 3, looks at a file, and answers on 4.
type lingering struct {
	cmd     *Cmd
	tell    *os.File // the descendant's descriptor 3
	answers *os.File
}

func newLingering(t *testing.T, wait WaitPolicy) *lingering {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	ar, aw, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close(); ar.Close() })
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/file", []byte("content\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	c := shell(t, "(read line <&3; cat file >&4) & exit 5")
	c.Dir, c.WaitFor, c.Sink = dir, wait, new(recorder)
	c.ExtraFiles = []*os.File{r, aw}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	r.Close()
	aw.Close()
	return &lingering{cmd: c, tell: w, answers: ar}
}

func (l *lingering) release(t *testing.T) {
	t.Helper()
	if _, err := l.tell.WriteString("go\n"); err != nil {
		t.Error(err)
	}
	if got, err := bufio.NewReader(l.answers).ReadString('\n'); err != nil || got != "content\n" {
		t.Errorf("the descendant answers %q, %v", got, err)
	}
}

// TestCmdWaitRoot: the session ends with the command. What it leaves behind is
// named, and goes on undisturbed, though it is under a filter for good.
func TestCmdWaitRoot(t *testing.T) {
	needTracing(t)
	l := newLingering(t, WaitRoot)
	res, err := awaitTrace(t, l.cmd)
	if err != nil || res.Exit.Code != 5 {
		t.Fatalf("await: %+v, %v", res, err)
	}
	if len(res.Incomplete) != 1 || res.Incomplete[0].Reason != events.ReasonRunning || res.Incomplete[0].PID == l.cmd.Pid() {
		t.Errorf("incomplete: %+v", res.Incomplete)
	}
	r := l.cmd.Sink.(*recorder)
	if r.trailer.Complete() || !slices.Equal(r.trailer.Incomplete, res.Incomplete) {
		t.Errorf("the trailer says %+v", r.trailer.Incomplete)
	}
	checkRecord(t, r)
	l.release(t)
	harness.Eventually(t, "the descendant and the keeper are gone", noChildren)
}

// TestCmdWaitAll: the session ends with the last descendant.
func TestCmdWaitAll(t *testing.T) {
	needTracing(t)
	l := newLingering(t, WaitAll)
	over := finished(func() { _ = l.cmd.Wait() })
	harness.Eventually(t, "the command itself has ended", func() bool {
		return errors.Is(l.cmd.Signal(0), os.ErrProcessDone)
	})
	select {
	case <-over:
		t.Error("the session has ended before the last descendant")
	default:
	}
	l.release(t)
	await(t, "the session", over)
	res, err := ended(l.cmd)
	r := l.cmd.Sink.(*recorder)
	if err != nil || res.Exit.Code != 5 || len(res.Incomplete) > 0 || !r.trailer.Complete() {
		t.Errorf("await: %+v, %v", res, err)
	}
	if !slices.Contains(r.accesses(), "read "+canonical(t, l.cmd.Dir)+"/file") {
		t.Error("what the descendant read is not in the record")
	}
	checkRecord(t, r)
}

func canonical(t *testing.T, dir string) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// noChildren reports whether this process has no child left, not even one to reap.
func noChildren() bool {
	tasks, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil || len(tasks) == 0 {
		return true // CONFIG_PROC_CHILDREN
	}
	for _, name := range tasks {
		if list, err := os.ReadFile(name); err == nil && len(bytes.TrimSpace(list)) > 0 {
			return false
		}
	}
	return true
}

// TestCmdConcurrent traces several commands at once; none of them sees, nor records,
// what another does.
func TestCmdConcurrent(t *testing.T) {
	needTracing(t)
	dir := harness.TempTree(t)
	var all sync.WaitGroup
	for i := range 8 {
		file := fmt.Sprintf("%s/file%d", dir, i)
		all.Go(func() {
			r := new(recorder)
			c := Command("/bin/sh", "-c", fmt.Sprintf("echo %d > %s; cat %s >/dev/null; exit %d", i, file, file, i))
			c.Sink = r
			if err := c.Start(); err != nil {
				t.Error(err)
				return
			}
			if res, err := ended(c); err != nil || res.Exit.Code != i || len(res.Incomplete) > 0 {
				t.Errorf("command %d: %+v, %v", i, res, err)
			}
			checkRecord(t, r)
			for _, access := range r.accesses() {
				if strings.Contains(access, dir+"/file") && !strings.HasSuffix(access, file) {
					t.Errorf("command %d: %s", i, access)
				}
			}
			if !slices.Contains(r.accesses(), "read "+file) {
				t.Errorf("command %d: no read of its file in the record", i)
			}
		})
	}
	await(t, "the commands", finished(all.Wait))
}

// TestHostChildren: the host's own children are its own, whatever is traced
// meanwhile: wait4 of a tracer takes none of them away.
func TestHostChildren(t *testing.T) {
	needTracing(t)
	truth := lookPath(t, "true")
	stop := make(chan struct{})
	var tracing sync.WaitGroup
	traces := 0
	tracing.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			r := new(recorder)
			c := Command("/bin/sh", "-c", "true & true & wait")
			c.Sink = r
			if err := c.Start(); err != nil {
				t.Error(err)
				return
			}
			if res, err := ended(c); err != nil || res.Exit != (events.Exit{}) {
				t.Errorf("trace %d: %+v, %v", traces, res, err)
			}
			checkRecord(t, r)
			traces++
		}
	})
	var hosts sync.WaitGroup
	for range 2 {
		hosts.Go(func() {
			for i := range 100 {
				if err := exec.Command(truth).Run(); err != nil {
					t.Errorf("child %d of the host: %v", i, err)
				}
			}
		})
	}
	await(t, "the host's children", finished(hosts.Wait))
	close(stop)
	await(t, "the last trace", finished(tracing.Wait))
	if traces == 0 {
		t.Error("nothing was traced meanwhile")
	}
}

// resources counts what a session may forget to give back.
type resources struct{ descriptors, goroutines, threads int }

func countResources(t *testing.T) (n resources) {
	t.Helper()
	for dir, count := range map[string]*int{"/proc/self/fd": &n.descriptors, "/proc/self/task": &n.threads} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		*count = len(entries)
	}
	n.goroutines = runtime.NumGoroutine()
	return n
}

// TestCmdLeavesNothing runs many commands, some of which cannot be run, and finds
// the host as it was.
func TestCmdLeavesNothing(t *testing.T) {
	needTracing(t)
	dir := harness.TempTree(t)
	once := func(i int) {
		c := helperTrace("none", new(recorder))
		switch i % 5 {
		case 1:
			c.Path = dir + "/missing"
		case 2:
			c.Dir = dir + "/missing"
		case 3:
			c.Sink = &recorder{eventErr: errors.New("bad")}
		}
		if err := c.Start(); err == nil || i%5 == 1 {
			_, _ = awaitTrace(t, c)
			checkRecord(t, c.Sink.(*recorder))
		}
	}
	for i := range 5 {
		once(i)
	}
	harness.Eventually(t, "the first sessions are over", noChildren)
	before := countResources(t)
	for i := range 50 {
		once(i)
	}
	var after resources
	const idle = 4 // threads that the runtime keeps for later
	harness.Eventually(t, fmt.Sprintf("as many descriptors, goroutines and threads as before, %+v", before), func() bool {
		after = countResources(t)
		return after.descriptors <= before.descriptors && after.goroutines <= before.goroutines &&
			after.threads <= before.threads+idle && noChildren()
	})
}

// tracerThreadHelper prints whether the thread of tracerThread outlives it, with a
// main goroutine that gives up the main thread.
func tracerThreadHelper() {
	runtime.GOMAXPROCS(1)
	for range 10 {
		tid := make(chan int)
		tracerThread(func() { tid <- unix.Gettid() })
		task := fmt.Sprintf("/proc/self/task/%d", <-tid)
		for deadline := time.Now().Add(5 * time.Second); ; runtime.Gosched() {
			if _, err := os.Stat(task); err != nil {
				break
			}
			if time.Now().After(deadline) {
				fmt.Printf("%s of process %d is still there\n", task, os.Getpid())
				return
			}
		}
	}
}

// TestTracerThreadEnds: what a tracer has not detached is detached with its thread. The
// main thread would be kept by the Go runtime, to the process's end.
func TestTracerThreadEnds(t *testing.T) {
	out, err := helperCommand("tracerThread").CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("%v: %s", err, out)
	}
}
