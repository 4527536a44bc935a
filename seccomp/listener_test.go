package seccomp

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

const helperVariable = "FSTRACE_TEST_HELPER"

// TestMain makes this process the helper that some tests start: a process under a
// filter that can be killed.
func TestMain(m *testing.M) {
	// A thread that a goroutine has locked ends with it, but for the main thread. So
	// no test may get that one.
	runtime.LockOSThread()
	if os.Getenv(helperVariable) != "" {
		filteredHelper()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// testProgram notifies getpriority, which nothing else here calls.
func testProgram() ([]bpf.RawInstruction, error) {
	abis, err := ABIs(runtime.GOARCH)
	if err != nil {
		return nil, err
	}
	return Program(abis, []Rule{{Syscall: "getpriority"}})
}

func getpriority() error {
	_, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	return err
}

// A filtered thread has a filter, and makes calls on request. It ends with the test.
type filtered struct {
	fd     int
	calls  chan func() error
	result chan error
	ended  chan struct{}
	once   sync.Once
}

func newFiltered(t *testing.T) *filtered {
	t.Helper()
	program, err := testProgram()
	if err != nil {
		t.Fatal(err)
	}
	th := &filtered{calls: make(chan func() error), result: make(chan error, 16), ended: make(chan struct{})}
	installed := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends here
		defer close(th.ended)
		err := SetNoNewPrivs()
		if err == nil {
			th.fd, err = Install(program)
		}
		installed <- err
		if err != nil {
			return
		}
		for call := range th.calls {
			th.result <- call()
		}
	}()
	if err := <-installed; err != nil {
		skipWithout(t, err)
	}
	t.Cleanup(th.end)
	return th
}

// skipWithout skips a test where the kernel, or a filter above, does not allow one.
func skipWithout(t *testing.T, err error) {
	t.Helper()
	if errors.Is(err, ErrNested) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		t.Skip(err)
	}
	t.Fatal(err)
}

// end ends the thread. The listener is a test's to close, before or after.
func (th *filtered) end() {
	th.once.Do(func() { close(th.calls) })
	<-th.ended
}

// listen makes a Listener of the thread's, closed at the test's end.
func (th *filtered) listen(t *testing.T) *Listener {
	t.Helper()
	l, err := NewListener(th.fd)
	if err != nil {
		t.Fatal(err)
	}
	// Closing it frees who still waits, so that the thread can end.
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// call has the thread make its call, which is notified.
func (th *filtered) call() { th.calls <- getpriority }

func receive(t *testing.T, l *Listener) Notification {
	t.Helper()
	var n Notification
	if err := l.Receive(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// within fails when f takes longer than anything here may.
func within(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatalf("%s: still waiting", what)
	}
}

func TestReceiveContinue(t *testing.T) {
	th := newFiltered(t)
	l := th.listen(t)
	last := uint64(0)
	for i := range 50 {
		th.call()
		n := receive(t, l)
		if name := nameOf(t, n.Data); name != "getpriority" || n.PID == 0 || int(n.PID) == os.Getpid() {
			t.Errorf("notified of %q by thread %d", name, n.PID)
		}
		if i > 0 && n.ID != last+1 {
			t.Errorf("id %#x after %#x", n.ID, last)
		}
		last = n.ID
		if !l.Valid(n.ID) {
			t.Error("the caller waits, and is not valid")
		}
		if err := l.Continue(n.ID); err != nil {
			t.Fatal(err)
		}
		if err := <-th.result; err != nil {
			t.Errorf("the call that was let through: %v", err)
		}
		if l.Valid(n.ID) {
			t.Error("the caller has its answer, and is still valid")
		}
		if err := l.Continue(n.ID); !errors.Is(err, ErrGone) {
			t.Errorf("a second answer: %v, want ErrGone", err)
		}
	}
}

func nameOf(t *testing.T, d Data) string {
	t.Helper()
	abis, err := ABIs(runtime.GOARCH)
	if err != nil {
		t.Fatal(err)
	}
	for _, abi := range abis {
		if abi.Audit == d.Arch {
			return abi.Syscall(d.NR)
		}
	}
	return ""
}

// TestNotificationData: arguments arrive as they were given.
func TestNotificationData(t *testing.T) {
	th := newFiltered(t)
	l := th.listen(t)
	args := [6]uint64{1<<64 - 1, 1 << 63, 3, 4, 5, 1<<32 + 6}
	th.calls <- func() error {
		_, _, errno := unix.Syscall6(unix.SYS_GETPRIORITY, uintptr(args[0]), uintptr(args[1]),
			uintptr(args[2]), uintptr(args[3]), uintptr(args[4]), uintptr(args[5]))
		return errno
	}
	n := receive(t, l)
	if n.Data.Args != args || n.Data.IP == 0 || n.Data.NR != unix.SYS_GETPRIORITY {
		t.Errorf("got %+v, want the arguments %v", n.Data, args)
	}
	if err := l.Continue(n.ID); err != nil {
		t.Fatal(err)
	}
	<-th.result
}

func TestErrno(t *testing.T) {
	th := newFiltered(t)
	l := th.listen(t)
	for _, errno := range []unix.Errno{unix.ENOSYS, unix.EPERM, unix.EHWPOISON} {
		th.call()
		n := receive(t, l)
		if err := l.Errno(n.ID, errno); err != nil {
			t.Fatal(err)
		}
		if err := <-th.result; err != errno {
			t.Errorf("the call gives %v, want %v", err, errno)
		}
		if err := l.Errno(n.ID, errno); !errors.Is(err, ErrGone) {
			t.Errorf("a second answer: %v, want ErrGone", err)
		}
	}
}

// TestOtherCallsPass: what no rule names is not notified.
func TestOtherCallsPass(t *testing.T) {
	th := newFiltered(t)
	th.calls <- func() error {
		if _, err := unix.Getpgid(0); err != nil {
			return err
		}
		_, err := os.Stat("/")
		return err
	}
	within(t, "a call that is not notified", func() {
		if err := <-th.result; err != nil {
			t.Error(err)
		}
	})
	unix.Close(th.fd)
}

// filteredHelper hands its listener to its parent, by descriptor 3, and makes one
// notified call.
func filteredHelper() {
	program, err := testProgram()
	if err == nil {
		err = SetNoNewPrivs()
	}
	if err != nil {
		os.Exit(1)
	}
	fd, err := Install(program)
	if err != nil {
		os.Exit(2)
	}
	if err := unix.Sendmsg(3, []byte{'L'}, unix.UnixRights(fd), nil, 0); err != nil {
		os.Exit(3)
	}
	unix.Close(fd)
	_ = getpriority()
}

// startFiltered starts a process under a filter, and returns its listener.
func startFiltered(t *testing.T) (*exec.Cmd, *Listener) {
	t.Helper()
	newFiltered(t).end() // skips where there are no filters
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	theirs := os.NewFile(uintptr(pair[1]), "helper")
	defer unix.Close(pair[0])
	c := exec.Command("/proc/self/exe")
	c.Env = append(os.Environ(), helperVariable+"=1")
	c.ExtraFiles = []*os.File{theirs}
	c.Stderr = os.Stderr
	err = c.Start()
	theirs.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	oob := make([]byte, unix.CmsgSpace(4))
	_, oobn, _, _, err := unix.Recvmsg(pair[0], make([]byte, 1), oob, unix.MSG_CMSG_CLOEXEC)
	if err != nil || oobn == 0 {
		t.Fatalf("no listener from the helper: %v", err)
	}
	messages, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil || len(messages) != 1 {
		t.Fatal(messages, err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		t.Fatal(fds, err)
	}
	l, err := NewListener(fds[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return c, l
}

// TestCallerKilled: a caller that is killed while it waits has not made its call.
func TestCallerKilled(t *testing.T) {
	c, l := startFiltered(t)
	n := receive(t, l)
	if int(n.PID) != c.Process.Pid || !l.Valid(n.ID) {
		t.Errorf("notified by %d, want %d, valid %v", n.PID, c.Process.Pid, l.Valid(n.ID))
	}
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait() // it is gone when it is reaped
	if l.Valid(n.ID) {
		t.Error("a caller that was killed is valid")
	}
	if err := l.Continue(n.ID); !errors.Is(err, ErrGone) {
		t.Errorf("continue: %v, want ErrGone", err)
	}
	if err := l.Errno(n.ID, unix.EPERM); !errors.Is(err, ErrGone) {
		t.Errorf("errno: %v, want ErrGone", err)
	}
	within(t, "the end", func() {
		if err := l.Receive(&n); !errors.Is(err, ErrHangup) {
			t.Errorf("receive: %v, want ErrHangup", err)
		}
	})
}

// TestKilledBeforeReceive: a call whose caller is killed before it is received is
// not delivered.
func TestKilledBeforeReceive(t *testing.T) {
	c, l := startFiltered(t)
	if !l.WaitCall() {
		t.Fatal("there will be no call")
	}
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait()
	within(t, "the end", func() {
		var n Notification
		if err := l.Receive(&n); !errors.Is(err, ErrHangup) {
			t.Errorf("receive: %v, want ErrHangup", err)
		}
	})
}

// TestHangup: the end of the last thread ends a Receive that waits already, and one
// that comes after.
func TestHangup(t *testing.T) {
	th := newFiltered(t)
	l := th.listen(t)
	if l.WaitHangup(0) || l.WaitHangup(time.Millisecond) {
		t.Error("a listener with a thread has hung up")
	}
	if !l.SyncWakeUp() {
		t.Skip("before Linux 6.6 a receiver is not woken at the end")
	}
	received := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		var n Notification
		received <- l.Receive(&n)
	}()
	th.end()
	within(t, "receive", func() {
		if err := <-received; !errors.Is(err, ErrHangup) {
			t.Errorf("receive: %v, want ErrHangup", err)
		}
		var n Notification
		if err := l.Receive(&n); !errors.Is(err, ErrHangup) {
			t.Errorf("receive again: %v, want ErrHangup", err)
		}
		if !l.WaitHangup(-1) || !l.WaitHangup(0) || l.WaitCall() {
			t.Error("it does not say that it has hung up")
		}
	})
}

// TestClose: calls that wait when the last descriptor is closed fail with ENOSYS,
// and so does each one after.
func TestClose(t *testing.T) {
	th := newFiltered(t)
	l, err := NewListener(th.fd)
	if err != nil {
		t.Fatal(err)
	}
	th.call()
	receive(t, l)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-th.result; err != unix.ENOSYS {
		t.Errorf("the call that waited: %v, want ENOSYS", err)
	}
	th.call()
	if err := <-th.result; err != unix.ENOSYS {
		t.Errorf("a call after that: %v, want ENOSYS", err)
	}
	if err := l.Close(); !errors.Is(err, unix.EBADF) {
		t.Errorf("close again: %v, want EBADF", err)
	}
}

// TestNested: the kernel allows one listener in a chain of filters.
func TestNested(t *testing.T) {
	th := newFiltered(t)
	th.listen(t)
	program, err := testProgram()
	if err != nil {
		t.Fatal(err)
	}
	th.calls <- func() error {
		_, err := Install(program)
		return err
	}
	if err := <-th.result; !errors.Is(err, ErrNested) || !errors.Is(err, unix.EBUSY) {
		t.Errorf("a second listener: %v, want ErrNested and EBUSY", err)
	}
}

// TestListenerIsCloseOnExec: the command must not get it.
func TestListenerIsCloseOnExec(t *testing.T) {
	th := newFiltered(t)
	l := th.listen(t)
	if flags, err := unix.FcntlInt(uintptr(l.FD()), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("descriptor flags %#x, %v", flags, err)
	}
}

// TestInstallBad: a program that the kernel refuses is an error, and no filter.
func TestInstallBad(t *testing.T) {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		if err := SetNoNewPrivs(); err != nil {
			done <- err
			return
		}
		_, err := Install([]bpf.RawInstruction{{Op: 0xffff}})
		done <- err
	}()
	if err := <-done; !errors.Is(err, unix.EINVAL) || errors.Is(err, ErrNested) {
		t.Errorf("%v, want EINVAL", err)
	}
}
