package record

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/fstrace/fstrace/testdata/harness"
	"golang.org/x/sys/unix"
)

// deniedCalls are those that a sandbox may forbid and that fstrace makes, but the
// command, cat, does not need. Under make stress every number is denied in turn.
var deniedCalls = map[string]uintptr{
	"ioctl": unix.SYS_IOCTL, "ptrace": unix.SYS_PTRACE, "waitid": unix.SYS_WAITID, "getpid": unix.SYS_GETPID,
	"readlinkat": unix.SYS_READLINKAT, "memfd_create": unix.SYS_MEMFD_CREATE, "seccomp": unix.SYS_SECCOMP,
	"pidfd_open": unix.SYS_PIDFD_OPEN, "pidfd_getfd": unix.SYS_PIDFD_GETFD, "pidfd_send_signal": unix.SYS_PIDFD_SEND_SIGNAL,
	"process_vm_readv": unix.SYS_PROCESS_VM_READV, "process_vm_writev": unix.SYS_PROCESS_VM_WRITEV,
	"socketpair": unix.SYS_SOCKETPAIR, "sendmsg": unix.SYS_SENDMSG, "recvmsg": unix.SYS_RECVMSG,
	"eventfd2": unix.SYS_EVENTFD2, "epoll_create1": unix.SYS_EPOLL_CREATE1, "statx": unix.SYS_STATX,
	"openat2": unix.SYS_OPENAT2, "ppoll": unix.SYS_PPOLL, "sched_setaffinity": unix.SYS_SCHED_SETAFFINITY, "prctl": unix.SYS_PRCTL,
	"clone3": unix.SYS_CLONE3, "wait4": unix.SYS_WAIT4, "tgkill": unix.SYS_TGKILL, "prlimit64": unix.SYS_PRLIMIT64,
	"inotify_init1": unix.SYS_INOTIFY_INIT1, "fanotify_init": unix.SYS_FANOTIFY_INIT, "name_to_handle_at": unix.SYS_NAME_TO_HANDLE_AT,
}

// goCalls are calls without which a program of Go cannot end, or dies without a word when
// a signal comes.
var goCalls = []uintptr{unix.SYS_EXIT, unix.SYS_EXIT_GROUP, unix.SYS_RT_SIGRETURN, unix.SYS_RT_SIGPROCMASK, unix.SYS_SIGALTSTACK}

// TestDenied: where a sandbox denies a system call, fstrace refuses with a message, or
// the command runs as it does without fstrace and its record has what it has read, or
// says that it is incomplete. It never hangs, and a complete record is never wrong.
func TestDenied(t *testing.T) {
	denied, exe, dir := harness.BuildC(t, "gcc", "lifecycle/denied"), harness.Fstrace(t), harness.OpenDir(t)
	cat := harness.NeedTool(t, "cat")
	in := filepath.Join(dir, "in")
	harness.WriteFile(t, in, "content\n")
	calls := deniedCalls
	if os.Getenv("FSTRACE_STRESS") != "" {
		calls = map[string]uintptr{}
		for nr := range uintptr(470) {
			if !slices.Contains(goCalls, nr) {
				calls["call "+strconv.Itoa(int(nr))] = nr
			}
		}
	}
	for name, nr := range calls {
		for _, errno := range []unix.Errno{unix.EPERM, unix.ENOSYS} {
			t.Run(name+" "+unix.ErrnoName(errno), func(t *testing.T) {
				around := []string{denied, strconv.Itoa(int(nr)), strconv.Itoa(int(errno))}
				bare, _ := deniedRun(t, append(around, cat, in))
				if bare != 0 {
					t.Skip("the command itself needs the call")
				}
				judge(t, around, exe, cat, in)
			})
		}
	}
}

// judge runs cat of a file under fstrace, in a sandbox that is put around it, and returns
// whether the record is complete. It fails the test unless the record has what was read,
// or says that it is incomplete, or fstrace refuses with a message (then it returns
// "refused").
func judge(t *testing.T, around []string, exe, cat, in string) string {
	t.Helper()
	dir := harness.OpenDir(t)
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "record")
	status, stderr := deniedRun(t, slices.Concat(around, []string{exe, "-q", "-f", "jsonl", "-o", file, "--", cat, in}))
	harness.Eventually(t, "no process of fstrace is left", func() bool { return !isRunning(exe) })
	switch {
	case goNeeds(stderr):
		t.Skip("the Go runtime itself needs what the sandbox denies")
	case status == 125:
		refused := strings.Contains(stderr, "fstrace doctor") || strings.Contains(stderr, "its record could not be written")
		if !strings.HasPrefix(stderr, "fstrace: ") || !refused {
			t.Errorf("the refusal does not say why: %q", stderr)
		}
		return "refused"
	case status != 0:
		t.Errorf("status %d, without fstrace 0: %s", status, stderr)
		return "failed"
	}
	r := harness.ReadRecord(t, file)
	if !r.Complete() {
		return "incomplete"
	}
	if !slices.ContainsFunc(r.Events, func(e harness.Event) bool { return e.Op == "read" && e.Path == in }) {
		t.Error("the record says that it is complete, but what the command read is not in it")
	}
	return "complete"
}

// isRunning reports whether a process runs a program.
func isRunning(exe string) bool {
	links, _ := filepath.Glob("/proc/[0-9]*/exe") // the pattern is good
	return slices.ContainsFunc(links, func(link string) bool {
		target, err := os.Readlink(link)
		return err == nil && target == exe
	})
}

// deniedRun runs a command with an end, and returns its exit status and standard error.
func deniedRun(t *testing.T, argv []string) (status int, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
	defer cancel()
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stderr = &out
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if ctx.Err() != nil {
		t.Fatalf("%q does not end", argv)
	}
	return cmd.ProcessState.ExitCode(), out.String()
}

// goNeeds reports whether the Go runtime could not start, or could not go on.
func goNeeds(stderr string) bool {
	return strings.Contains(stderr, "fatal error: ") || strings.Contains(stderr, "runtime: ")
}
