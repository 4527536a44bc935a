package tracer

import (
	"errors"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"github.com/fstrace/fstrace/seccomp"
	"golang.org/x/sys/unix"
)

// Names that this binary is executed under, as argv[0], to be a helper process.
// The second argument is the number of its socket.
const (
	shimName   = "fstrace-shim"
	keeperName = "fstrace-keeper"
)

// init makes this process the helper that it was started to be. It happens here,
// not in main, so that each program that uses this package has its helpers.
func init() {
	if len(os.Args) != 2 {
		return
	}
	run := map[string]func(int){shimName: runShim, keeperName: runKeeper}[os.Args[0]]
	if run == nil {
		return
	}
	socket, err := strconv.Atoi(os.Args[1])
	if err != nil {
		return
	}
	// The main thread: it is the process's leader, the one that is traced, gets the
	// filter, and execs.
	runtime.LockOSThread()
	run(socket)
	unix.Exit(0)
}

// runShim is the process that becomes the command: started by the tracer thread,
// with the command's descriptors, group, session, terminal, limits and umask. It
// gets the rest from the supervisor, installs the filter, hands the listener over,
// waits to be traced, and execs.
//
// Why a process of its own: between fork and exec the Go runtime allows nothing;
// and a stop by the terminal during the launch then stops the shim, not a child
// that shares the supervisor's memory and holds up its thread (vfork).
func runShim(socket int) {
	s := shim{socket: socket}
	unix.CloseOnExec(socket)
	for fd := range 3 {
		if startedClosed(fd) {
			unix.CloseOnExec(fd) // what the runtime opened in its place
		}
	}
	b, err := readMessage(socket)
	if err != nil {
		unix.Exit(exitFailed) // nobody to tell
	}
	if s.launch, err = decodeLaunch(b); err != nil {
		s.fail("read what to run", err)
	}
	s.dispositions()
	if !s.launch.apart {
		if err := s.joinGroup(); err != nil {
			s.fail("join the process group", err)
		}
	}
	if s.launch.umask >= 0 {
		unix.Umask(int(s.launch.umask))
	}
	if s.launch.tracer != 0 {
		// For Yama, which lets only ancestors trace by themselves. Without it: EINVAL.
		_ = unix.Prctl(unix.PR_SET_PTRACER, uintptr(s.launch.tracer), 0, 0, 0)
	}
	// Stops by the terminal must find the command traced.
	launching := s.launch.signals.mask | jobControl
	if _, errno := signalMask(&launching); errno != 0 {
		s.fail("set signal mask", errno)
	}
	if s.launch.dir != "" {
		if err := unix.Chdir(s.launch.dir); err != nil {
			s.fail("change directory to "+s.launch.dir, err)
		}
	}
	switch listener, err := s.install(); {
	case errors.Is(err, seccomp.ErrNested):
		err = writeFull(socket, []byte{replyNested})
		if err != nil {
			unix.Exit(exitFailed)
		}
	case err != nil:
		s.fail("install filter", err)
	default:
		// From here on each file call sleeps until the supervisor has the listener.
		if err := sendDescriptors(socket, replyListener, listener); err != nil {
			unix.Exit(exitFailed)
		}
	}
	var reply [1]byte
	if err := readFull(socket, reply[:]); err != nil || reply[0] != goAhead {
		unix.Exit(exitFailed)
	}
	if err := restoreTimerSlack(); err != nil {
		s.fail("restore the timer slack", err)
	}
	mask := s.launch.signals.mask
	if _, errno := signalMask(&mask); errno != 0 {
		s.fail("restore signal mask", errno)
	}
	s.fail(stepExec, s.exec())
}

// stepExec is the last step of a launch.
const stepExec = "exec"

// exitFailed is the status of a process of ours that could not do its work.
const exitFailed = 125

type shim struct {
	socket int
	launch *launch
}

// fail tells the supervisor, and ends.
func (s *shim) fail(step string, err error) {
	var errno unix.Errno
	if !errors.As(err, &errno) {
		errno, step = unix.EINVAL, step+": "+err.Error()
	}
	f := failure{step: step, errno: errno}
	_ = writeFull(s.socket, f.encode()) // a supervisor that is gone needs no answer
	// Whether the command was not found cannot be looked up here any more without
	// that being recorded as the command's doing.
	status := [1]byte{exitFailed}
	if step == stepExec {
		_ = readFull(s.socket, status[:])
	}
	unix.Exit(int(status[0]))
}

// dispositions ignores what was ignored when fstrace was started, and gives every
// other signal its default effect: one that comes before the exec acts as it would
// on the command. The Go runtime's own handlers are not needed here any more, but
// for faults.
func (s *shim) dispositions() {
	for sig := 1; sig <= signalCount; sig++ {
		handler := uintptr(sigDefault)
		if s.launch.signals.ignored&(1<<(sig-1)) != 0 {
			handler = sigIgnore
		}
		switch unix.Signal(sig) {
		case unix.SIGKILL, unix.SIGSTOP:
			continue
		case unix.SIGSEGV, unix.SIGBUS, unix.SIGFPE, unix.SIGURG:
			if handler == sigDefault { // exec resets handlers by itself
				continue
			}
		}
		setSignalHandler(sig, handler)
	}
}

// joinGroup leaves the group of its own that the shim was started in. Until now
// the group's signals would have met the handlers of the Go runtime, which kill, or
// print a stack, where the command would ignore the signal; the supervisor has kept
// them instead. From now on they have their effect here.
//
// If the supervisor is gone, so is its group; the parent is another then, of a
// session that may not be joined.
func (s *shim) joinGroup() error {
	group, err := unix.Getpgid(unix.Getppid())
	if err != nil {
		return err
	}
	return unix.Setpgid(0, group)
}

// install puts the filter in, with no_new_privs only if it does not go without:
// that would keep a privileged user's setuid programs from working.
func (s *shim) install() (listener int, err error) {
	listener, err = seccomp.Install(s.launch.filter)
	if !errors.Is(err, unix.EACCES) {
		return listener, err
	}
	if err := seccomp.SetNoNewPrivs(); err != nil {
		return -1, err
	}
	return seccomp.Install(s.launch.filter)
}

// exec runs the command, looked up in PATH as execvp(3) does: by trying. Each try
// is notified, so that the record has the places where the command was not found,
// too. It returns only if all fail.
//
// syscall.Exec restores the soft limit of open files, which the Go runtime raises.
func (s *shim) exec() error {
	l := s.launch
	if strings.Contains(l.path, "/") {
		return execOrScript(l.path, l.argv, l.env)
	}
	if l.path == "" {
		return unix.ENOENT
	}
	denied := false
	for _, dir := range strings.Split(searchPath(l.env), ":") {
		name := l.path
		if dir != "" { // an empty entry is the working directory
			name = dir + "/" + name
		}
		switch err := execOrScript(name, l.argv, l.env); err {
		case unix.EACCES:
			denied = true
		case unix.ENOENT, unix.ENOTDIR, unix.ESTALE, unix.ENODEV, unix.ETIMEDOUT:
		default:
			return err
		}
	}
	if denied {
		return unix.EACCES
	}
	return unix.ENOENT
}

// defaultPath is where execvp of glibc looks without a PATH.
const defaultPath = "/bin:/usr/bin"

func searchPath(env []string) string {
	for _, kv := range env {
		if path, ok := strings.CutPrefix(kv, "PATH="); ok {
			return path
		}
	}
	return defaultPath
}

// execOrScript executes a file. One that is neither a program nor begins with
// "#!" is a shell's, as for execvp(3) and every shell.
func execOrScript(name string, argv, env []string) error {
	err := syscall.Exec(name, argv, env)
	if err != unix.ENOEXEC {
		return err
	}
	script := append([]string{"sh", name}, argv[min(1, len(argv)):]...)
	return syscall.Exec("/bin/sh", script, env)
}
