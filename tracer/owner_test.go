package tracer

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fstrace/fstrace/events"
	"golang.org/x/sys/unix"
)

// ownerPatience is how long these tests wait for what should happen at once.
const ownerPatience = 20 * time.Second

// msgTick is the timer's running out, at a moment that a test chooses.
type msgTick struct{ done chan<- struct{} }

func (m msgTick) tell(o *owner) {
	o.tick()
	o.timer.Stop() // the test is the clock
	close(m.done)
}

func tick(o *owner) {
	done := make(chan struct{})
	o.mail.send(msgTick{done})
	<-done
}

// testOwner starts an owner whose clock is the test.
func testOwner(t *testing.T, gone func(*process, *events.Exit)) *owner {
	t.Helper()
	if gone == nil {
		gone = func(p *process, exit *events.Exit) { t.Errorf("%d is gone: %v", p.pid, exit) }
	}
	o := newOwner(gone, time.Hour, time.Hour)
	t.Cleanup(func() {
		select {
		case <-o.stopped:
		default:
			o.close()
		}
	})
	return o
}

// A child is a process of the test's own.
type child struct {
	t      *testing.T
	cmd    *exec.Cmd
	proc   *process
	fd     int // its pidfd, the owner's once it has the message
	stdout io.Reader
}

// startChild starts a shell script that says when it is ready.
func startChild(t *testing.T, script string) *child {
	t.Helper()
	fd := -1
	cmd := exec.Command("sh", "-c", script)
	cmd.SysProcAttr = &syscall.SysProcAttr{PidFD: &fd}
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := stdout.(*os.File).SetReadDeadline(time.Now().Add(ownerPatience)); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if fd < 0 {
		t.Skip("no pidfds: Linux 5.3 has them")
	}
	c := &child{t: t, cmd: cmd, fd: fd, stdout: stdout, proc: &process{pid: cmd.Process.Pid, ppid: os.Getpid()}}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			cmd.Process.Kill()
			cmd.Wait()
		}
	})
	c.says("ready")
	return c
}

// says fails the test unless the child prints that next.
func (c *child) says(want string) {
	c.t.Helper()
	b := make([]byte, len(want)+1)
	n, err := io.ReadFull(c.stdout, b)
	if got := string(b[:n]); got != want+"\n" {
		c.t.Fatalf("the child says %q (%v), want %q", got, err, want)
	}
}

// start reports the child to the owner.
func (c *child) start(o *owner, root bool) {
	o.mail.send(msgStarted{proc: c.proc, fd: c.fd, root: root})
}

// reap waits for the child's end and does not report it to the owner.
func (c *child) reap() unix.WaitStatus {
	c.t.Helper()
	over := time.AfterFunc(ownerPatience, func() { c.cmd.Process.Kill() })
	defer over.Stop()
	c.cmd.Wait()
	return unix.WaitStatus(c.cmd.ProcessState.Sys().(syscall.WaitStatus))
}

// kill ends the child and leaves it a zombie.
func (c *child) kill() {
	c.t.Helper()
	c.cmd.Process.Kill()
	fds := []unix.PollFd{{Fd: int32(c.fd), Events: unix.POLLIN}}
	for {
		if _, err := unix.Poll(fds, int(ownerPatience.Milliseconds())); err != unix.EINTR {
			break
		}
	}
	if fds[0].Revents == 0 {
		c.t.Fatal("the child does not end")
	}
}

// end reaps the child and reports that to the owner.
func (c *child) end(o *owner) unix.WaitStatus {
	c.t.Helper()
	ws := c.reap()
	o.mail.send(msgEnded{c.proc, ws})
	return ws
}

// endsBy fails the test unless the child is ended by the signal.
func (c *child) endsBy(o *owner, sig unix.Signal) {
	c.t.Helper()
	if ws := c.end(o); !ws.Signaled() || ws.Signal() != sig {
		c.t.Errorf("ended with %+v, want %s", exitOf(ws), signalName(sig))
	}
}

// synced waits until the owner has seen all messages so far.
func synced(o *owner) { ask(o, func(r chan<- bool) message { return msgTimedOut{r} }) }

func endingOf(o *owner) Ending {
	return ask(o, func(r chan<- Ending) message { return msgEnding{r} })
}

const (
	sleeper = `echo ready; exec sleep 600`
	deaf    = `trap '' TERM; echo ready; exec sleep 600`
)

// Signals that come before there is a process, or before it can take them, wait
// for it, in their order, and each comes once.
func TestOwnerKeepsSignals(t *testing.T) {
	o := testOwner(t, nil)
	for _, sig := range []unix.Signal{unix.SIGUSR1, unix.SIGUSR2} {
		if err := o.signal(sig); err != nil {
			t.Fatalf("before the start: %v", err)
		}
	}
	c := startChild(t, `trap 'echo usr1' USR1; trap 'echo usr2' USR2; trap 'echo term; exit 4' TERM
		echo ready; while :; do sleep 0.01; done`)
	c.start(o, true)
	if err := o.signal(unix.SIGTERM); err != nil {
		t.Fatalf("after the start: %v", err)
	}
	for _, kind := range []string{"SigPnd", "ShdPnd"} {
		if pending := statusLine(t, c.proc.pid, kind); strings.Trim(pending, "0") != "" {
			t.Errorf("signals came before the process was ready: %s %s", kind, pending)
		}
	}
	o.mail.send(msgReady{})
	c.says("usr1")
	c.says("usr2")
	c.says("term")
	if ws := c.end(o); ws.ExitStatus() != 4 {
		t.Errorf("ended with %+v, want 4", exitOf(ws))
	}
}

// statusLine returns a field of /proc/PID/status.
func statusLine(t *testing.T, pid int, key string) string {
	t.Helper()
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if value, ok := strings.CutPrefix(line, key+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	t.Fatalf("/proc/%d/status has no %s", pid, key)
	return ""
}

// SIGKILL does not wait for a process to be ready.
func TestOwnerKillsBeforeReady(t *testing.T) {
	o := testOwner(t, nil)
	c := startChild(t, sleeper)
	c.start(o, true)
	if err := o.signal(unix.SIGKILL); err != nil {
		t.Error(err)
	}
	c.endsBy(o, unix.SIGKILL)
}

// After the command's end there is nobody to signal, nor after the owner's.
func TestOwnerAfterTheEnd(t *testing.T) {
	o := testOwner(t, nil)
	c := startChild(t, sleeper)
	c.start(o, true)
	o.mail.send(msgReady{})
	if err := o.signal(unix.SIGTERM); err != nil {
		t.Error(err)
	}
	c.reap()
	if err := o.signal(unix.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("ended, and the owner not told: %v", err)
	}
	o.mail.send(msgEnded{c.proc, byTerm})
	if err := o.signal(unix.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("ended: %v", err)
	}
	o.close()
	if err := o.signal(unix.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("closed: %v", err)
	}
}

// A process that starts after the timeout gets what the others have got.
func TestOwnerSignalsLateBorn(t *testing.T) {
	o := testOwner(t, nil)
	root := startChild(t, deaf)
	root.start(o, true)
	o.mail.send(msgReady{})
	tick(o)
	if !ask(o, func(r chan<- bool) message { return msgTimedOut{r} }) {
		t.Error("not timed out")
	}
	late := startChild(t, sleeper)
	late.start(o, false)
	late.endsBy(o, unix.SIGTERM)
	later := startChild(t, deaf)
	later.start(o, false)
	tick(o)
	root.endsBy(o, unix.SIGKILL)
	later.endsBy(o, unix.SIGKILL)
	last := startChild(t, deaf)
	last.start(o, false)
	last.endsBy(o, unix.SIGKILL)
	tick(o) // nothing is left to do
}

// Where there are more processes than files may be open, a process for which there
// is no pidfd gets its signals all the same.
func TestOwnerSignalsWithoutHandle(t *testing.T) {
	if !inPidNamespace(t) {
		return
	}
	o := testOwner(t, nil)
	root, other, ended := startChild(t, deaf), startChild(t, sleeper), startChild(t, sleeper)
	root.start(o, true)
	for _, c := range []*child{other, ended} {
		c.startWithoutHandle(o)
	}
	o.mail.send(msgReady{})
	ended.cmd.Process.Kill()
	ended.end(o)
	innocent := startWithPid(t, ended.proc.pid)
	tick(o)
	other.endsBy(o, unix.SIGTERM)
	tick(o)
	root.endsBy(o, unix.SIGKILL)
	innocent.endsUnharmed()
}

func (c *child) startWithoutHandle(o *owner) {
	inode := inodeOf(c.fd)
	unix.Close(c.fd)
	c.fd = -1
	o.mail.send(msgStarted{proc: c.proc, fd: -1, inode: inode})
}

// That its number is another's by now the owner need not have heard.
func TestOwnerLeavesRecycledPidAloneWithoutHandle(t *testing.T) {
	if !inPidNamespace(t) {
		return
	}
	o := testOwner(t, nil)
	root, c, other := startChild(t, deaf), startChild(t, sleeper), startChild(t, sleeper)
	if inodeOf(c.fd) == inodeOf(other.fd) {
		t.Skip("all pidfds have one inode: before Linux 6.9")
	}
	root.start(o, true)
	c.startWithoutHandle(o)
	other.startWithoutHandle(o)
	o.mail.send(msgReady{})
	synced(o)
	c.cmd.Process.Kill()
	ws := c.reap()
	innocent := startWithPid(t, c.proc.pid)
	tick(o)
	other.endsBy(o, unix.SIGTERM)
	tick(o)
	root.endsBy(o, unix.SIGKILL)
	o.mail.send(msgEnded{c.proc, ws})
	synced(o)
	innocent.endsUnharmed()
}

// The verdict is the command's own wait status's, whichever of exit and timer
// the owner hears of first. The barrier is the test: it reaps, ticks, and reports.
func TestOwnerExitAgainstKill(t *testing.T) {
	const handler = `trap 'exit 3' TERM; echo ready; while :; do sleep 0.01; done`
	for _, test := range []struct {
		name, script string
		run          func(o *owner, c *child)
		want         Ending
	}{
		{"exit told before the timeout", sleeper, func(o *owner, c *child) {
			c.cmd.Process.Kill()
			c.end(o)
			tick(o)
		}, EndedByItself},
		{"exit before the timeout, told after it", sleeper, func(o *owner, c *child) {
			c.cmd.Process.Kill()
			ws := c.reap()
			tick(o)
			o.mail.send(msgEnded{c.proc, ws})
		}, EndedByItself},
		{"exit told before the kill", handler, func(o *owner, c *child) {
			tick(o)
			c.end(o)
			tick(o)
		}, EndedAfterTerm},
		{"exit before the kill, told after it", handler, func(o *owner, c *child) {
			tick(o)
			ws := c.reap()
			tick(o)
			o.mail.send(msgEnded{c.proc, ws})
		}, EndedAfterTerm},
		{"kill before the exit", deaf, func(o *owner, c *child) {
			tick(o)
			tick(o)
			c.end(o)
		}, EndedByKill},
		{"killed by another, told before the kill", deaf, func(o *owner, c *child) {
			tick(o)
			c.cmd.Process.Kill()
			c.end(o)
			tick(o)
		}, EndedAfterTerm},
		{"killed by another, told after the kill", deaf, func(o *owner, c *child) {
			tick(o)
			c.cmd.Process.Kill()
			ws := c.reap()
			tick(o)
			o.mail.send(msgEnded{c.proc, ws})
		}, EndedAfterTerm},
		{"a zombie when the timeout comes", sleeper, func(o *owner, c *child) {
			c.kill()
			tick(o)
			tick(o)
			c.end(o)
		}, EndedByItself},
		{"a zombie when the kill comes", deaf, func(o *owner, c *child) {
			tick(o)
			c.kill()
			tick(o)
			c.end(o)
		}, EndedAfterTerm},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := testOwner(t, nil)
			c := startChild(t, test.script)
			c.start(o, true)
			o.mail.send(msgReady{})
			synced(o)
			test.run(o, c)
			if got := endingOf(o); got != test.want {
				t.Errorf("ending %d, want %d", got, test.want)
			}
		})
	}
}

// A number that another process has by now is not that process's business. The
// child is reaped, its number given to an innocent one, and only then does the
// timer run out; that the child has ended the owner has not heard.
func TestOwnerLeavesRecycledPidAlone(t *testing.T) {
	if !inPidNamespace(t) {
		return
	}
	o := testOwner(t, nil)
	c := startChild(t, sleeper)
	c.start(o, true)
	o.mail.send(msgReady{})
	synced(o)
	c.cmd.Process.Kill()
	ws := c.reap()
	innocent := startWithPid(t, c.proc.pid)
	tick(o) // SIGTERM to all
	tick(o) // SIGKILL to all
	for _, sig := range []unix.Signal{unix.SIGTERM, unix.SIGKILL} {
		if err := o.signal(sig); !errors.Is(err, os.ErrProcessDone) {
			t.Errorf("%s: %v", signalName(sig), err)
		}
	}
	o.mail.send(msgEnded{c.proc, ws})
	synced(o)
	innocent.endsUnharmed()
}

// endsUnharmed ends a child that was not reported to the owner: an earlier signal
// would have ended it before.
func (c *child) endsUnharmed() {
	c.t.Helper()
	if err := unix.PidfdSendSignal(c.fd, unix.SIGUSR1, nil, 0); err != nil {
		c.t.Fatal(err)
	}
	if ws := c.reap(); ws.Signal() != unix.SIGUSR1 {
		c.t.Errorf("the innocent process ended with %+v", exitOf(ws))
	}
	unix.Close(c.fd)
}

// inPidNamespace runs the calling test once more, in a pid namespace of its own, and
// reports whether it runs there now: the next process's number can be chosen for a
// namespace alone.
func inPidNamespace(t *testing.T) bool {
	t.Helper()
	const inside = "FSTRACE_TEST_PID_NAMESPACE"
	if os.Getenv(inside) != "" {
		return true
	}
	if os.Getuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("only root may choose the next process's number")
		}
		t.Skip("only root may choose the next process's number")
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	out, err := cmd.CombinedOutput()
	switch {
	case err != nil:
		t.Errorf("%v\n%s", err, out)
	case bytes.Contains(out, []byte("--- SKIP")):
		t.Skipf("%s", out)
	case !bytes.Contains(out, []byte("--- PASS")):
		t.Errorf("the test has not run: %s", out)
	}
	return false
}

// startWithPid starts a child with a given number, which must be free. A new thread of
// the runtime's may take the number first, so it is tried until it works.
func startWithPid(t *testing.T, pid int) *child {
	t.Helper()
	for range 100 {
		err := os.WriteFile("/proc/sys/kernel/ns_last_pid", []byte(strconv.Itoa(pid-1)), 0)
		if errors.Is(err, os.ErrNotExist) {
			t.Skip("this kernel has no ns_last_pid (CONFIG_CHECKPOINT_RESTORE)")
		}
		if err != nil {
			t.Fatal(err)
		}
		c := startChild(t, sleeper)
		if c.proc.pid == pid {
			return c
		}
		c.cmd.Process.Kill()
		c.reap()
		unix.Close(c.fd)
	}
	t.Fatalf("could not start a process with the number %d", pid)
	return nil
}

// A process that is nobody's child here is watched by its pidfd.
func TestOwnerWatchesEscaped(t *testing.T) {
	type end struct {
		proc *process
		exit *events.Exit
	}
	ends := make(chan end, 1)
	o := testOwner(t, func(p *process, exit *events.Exit) { ends <- end{p, exit} })
	parent := startChild(t, `sleep 600 & echo ready; echo $!; wait; exec sleep 600`)
	var line [16]byte
	n, err := parent.stdout.Read(line[:])
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(line[:n])))
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{pid: pid, ppid: parent.proc.pid}
	parent.start(o, true)
	o.mail.send(msgReady{})
	o.mail.send(msgStarted{proc: p, fd: fd})
	o.mail.send(msgEscaped{p, -1})
	o.mail.send(msgEscaped{parent.proc, -1}) // the root's end wait4 tells
	living := ask(o, func(r chan<- []*process) message { return msgLiving{r} })
	if !slices.Equal(living, []*process{p}) {
		t.Errorf("escaped and living are %v, want %v", living, p)
	}
	tick(o) // SIGTERM goes to it, too
	select {
	case e := <-ends:
		if e.proc != p || e.exit == nil || e.exit.Signal != "SIGTERM" {
			t.Errorf("gone: %d, %+v", e.proc.pid, e.exit)
		}
	case <-time.After(ownerPatience):
		t.Fatal("its end was not told")
	}
	if living := ask(o, func(r chan<- []*process) message { return msgLiving{r} }); len(living) > 0 {
		t.Errorf("living: %v", living)
	}
	parent.endsBy(o, unix.SIGTERM)
}

// msgDeafen replaces the owner's watch by one that reports nothing.
type msgDeafen struct{ t *testing.T }

func (m msgDeafen) tell(o *owner) {
	o.watch.close()
	o.watch = newExitWatch(func(int32) {})
}

// The watch reports an end some time after it. The session's end does not wait for
// the watch: the owner is asked.
func TestOwnerSettles(t *testing.T) {
	gone := make(map[*process]string)
	o := testOwner(t, func(p *process, exit *events.Exit) { gone[p] = exit.Signal })
	settle := func(all bool) { ask(o, func(r chan<- bool) message { return msgSettle{all, r} }) }
	root, dead, dying := startChild(t, sleeper), startChild(t, sleeper), startChild(t, sleeper)
	root.start(o, true)
	o.mail.send(msgDeafen{t})
	for _, c := range []*child{dead, dying} {
		c.start(o, false)
		o.mail.send(msgEscaped{c.proc, -1})
	}
	dead.kill()
	living := ask(o, func(r chan<- []*process) message { return msgLiving{r} })
	if !slices.Equal(living, []*process{dying.proc}) {
		t.Errorf("living: %v, want %v", living, dying.proc)
	}
	settle(false)
	if want := map[*process]string{dead.proc: "SIGKILL"}; !maps.Equal(gone, want) {
		t.Errorf("gone: %v, want %v", gone, want)
	}
	if err := unix.PidfdSendSignal(dying.fd, unix.SIGTERM, nil, 0); err != nil {
		t.Fatal(err)
	}
	settle(true)
	if gone[dying.proc] != "SIGTERM" {
		t.Errorf("gone: %v, want %v among them", gone, dying.proc)
	}
	root.kill()
	root.end(o)
}

// An owner holds a pidfd for each process that lives, and lets go of it at the
// process's end or at its own.
func TestOwnerReleasesDescriptors(t *testing.T) {
	warm := testOwner(t, nil) // the runtime's own descriptors
	startChild(t, sleeper)
	warm.close()
	before := openDescriptors(t)
	o := testOwner(t, nil)
	var children []*child
	for i := range 4 {
		c := startChild(t, sleeper)
		c.start(o, i == 0)
		children = append(children, c)
	}
	o.mail.send(msgEscaped{children[3].proc, -1})
	children[1].cmd.Process.Kill()
	children[1].end(o)
	synced(o)
	if _, err := unix.FcntlInt(uintptr(children[1].fd), unix.F_GETFD, 0); err != unix.EBADF {
		t.Errorf("the pidfd of a process that has ended: %v, want EBADF", err)
	}
	o.close()
	for _, c := range children {
		c.cmd.Process.Kill()
		c.reap()
	}
	if after := openDescriptors(t); !slices.Equal(before, after) {
		t.Errorf("descriptors before: %q\nafter: %q", before, after)
	}
}

// openDescriptors lists what is open, by number.
func openDescriptors(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, e := range entries {
		if target, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil {
			list = append(list, e.Name()+" "+target)
		}
	}
	return list
}

// TestPosted: what is posted is known to whatever is sent after it, to one that was
// posted before all get SIGTERM, and to one that is posted after.
func TestPosted(t *testing.T) {
	o := testOwner(t, nil)
	root, before, after := startChild(t, sleeper), startChild(t, sleeper), startChild(t, sleeper)
	root.start(o, true)
	o.mail.send(msgReady{})
	synced(o)
	o.mail.post(msgStarted{proc: before.proc, fd: before.fd})
	o.mail.send(msgCancel{time.Hour}) // SIGTERM to all
	root.endsBy(o, unix.SIGTERM)
	before.endsBy(o, unix.SIGTERM)
	synced(o)
	o.mail.post(msgStarted{proc: after.proc, fd: after.fd})
	after.endsBy(o, unix.SIGTERM)
}

// TestPostedBeforeTimeout: the same, if it is a timer that has sent SIGTERM to all, not
// somebody who sends.
func TestPostedBeforeTimeout(t *testing.T) {
	o := testOwner(t, nil)
	root, other := startChild(t, sleeper), startChild(t, sleeper)
	root.start(o, true)
	o.mail.send(msgReady{})
	synced(o)
	o.mail.post(msgStarted{proc: other.proc, fd: other.fd})
	o.timer.Reset(0)
	other.endsBy(o, unix.SIGTERM)
	root.endsBy(o, unix.SIGTERM)
}

// TestPostedMany: what is posted does not wait without limit, and does not keep many
// descriptors.
func TestPostedMany(t *testing.T) {
	b := newMailbox[int]()
	for i := range postLimit {
		select {
		case <-b.ready:
			t.Fatalf("woken by %d messages", i)
		default:
		}
		b.post(i)
	}
	<-b.ready
	if n := len(b.take()); n != postLimit {
		t.Errorf("%d messages, want %d", n, postLimit)
	}
}

// TestEscapedUnwatched: the end of a process that cannot be watched is reported at the
// end of the session.
func TestEscapedUnwatched(t *testing.T) {
	gone := make(chan *process, 1)
	o := testOwner(t, func(p *process, _ *events.Exit) { gone <- p })
	c := startChild(t, sleeper)
	c.kill()
	unix.Close(c.fd)
	file, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0) // epoll takes none; poll says that it is readable
	if err != nil {
		t.Fatal(err)
	}
	o.mail.send(msgStarted{proc: c.proc, fd: file})
	o.mail.send(msgEscaped{c.proc, -1})
	ask(o, func(r chan<- bool) message { return msgSettle{false, r} })
	select {
	case p := <-gone:
		if p != c.proc {
			t.Errorf("%d is gone, want %d", p.pid, c.proc.pid)
		}
	default:
		t.Error("nobody told of its end")
	}
	c.reap()
}
