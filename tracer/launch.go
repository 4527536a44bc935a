package tracer

import (
	"fmt"
	"os"
	"runtime"
	"syscall"

	"github.com/fstrace/fstrace/tracer/internal/shim"
	"golang.org/x/sys/unix"
)

// LaunchVersion is the version of the protocol between a launched process and its tracer.
// Both must have the same version.
const LaunchVersion = 2

// A Launch is a process that is to become a command and waits for a tracer. It is a child
// of this program and inherits its terminal, process group, limits and descriptors.
// Another process, such as a daemon, gets its descriptors and traces it (Cmd.Adopt).
type Launch struct {
	// PID is the process, and PPID its parent, which is this process.
	PID, PPID int
	// Control is the socket from which the process reads what to run, Process its pidfd.
	Control, Process *os.File
	// Outer is a socket to the fstrace in whose session this process is (docs/nested.md);
	// nil if there is none.
	Outer *os.File
	// Mask and Ignored are the signals that the command starts with blocked and
	// ignored; bit n-1 stands for signal n.
	Mask, Ignored uint64
}

// Launch starts the process of the command for another process to trace. It uses only the
// fields of c for descriptors. The command does not run yet. If no process adopts it, the
// process ends when Control is closed.
func (c *Cmd) Launch() (*Launch, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("launch: socketpair: %w", err)
	}
	files, err := c.descriptors()
	var pid, fd int
	if err == nil {
		pid, fd, err = forkShim(append(files, uintptr(pair[1])), &syscall.SysProcAttr{Setpgid: true})
	}
	unix.Close(pair[1])
	closeAll(c.streams.theirs)
	if err != nil {
		unix.Close(pair[0])
		return nil, err
	}
	inherited := shim.Inherited()
	outer, _ := findOuter() // mostly there is none
	return &Launch{
		PID: pid, PPID: os.Getpid(),
		Control: os.NewFile(uintptr(pair[0]), "control"), Process: os.NewFile(uintptr(fd), "process"),
		Mask: inherited.Mask, Ignored: inherited.Ignored, Outer: outer,
	}, nil
}

// CloseControl closes Control and Outer after another process has got them, so that the
// end of that process is noticed.
func (l *Launch) CloseControl() {
	_ = l.Control.Close()
	l.closeOuter()
}

func (l *Launch) closeOuter() {
	if l.Outer != nil {
		_ = l.Outer.Close()
		l.Outer = nil
	}
}

// Signal sends a signal to the process through its pidfd.
func (l *Launch) Signal(sig unix.Signal) error {
	return control(l.Process, func(fd int) error { return sendSignal(fd, sig) })
}

// Wait waits until the process has ended, reaps it, and returns how it ended: Exit and
// Status of a [Result]. It calls stopped each time that a job control signal has stopped
// the process; nil is for no call.
func (l *Launch) Wait(stopped func(sig unix.Signal)) (Result, error) {
	for {
		var ws unix.WaitStatus
		_, err := unix.Wait4(l.PID, &ws, unix.WUNTRACED, nil)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return Result{}, fmt.Errorf("wait for the command: %w", err)
		case ws.Stopped():
			if stopped != nil {
				stopped(ws.StopSignal())
			}
		default:
			return Result{Exit: exitOf(ws), Status: ws}, nil
		}
	}
}

// Close closes the descriptors. A process that no tracer has adopted ends then.
func (l *Launch) Close() {
	_ = l.Control.Close()
	_ = l.Process.Close()
	l.closeOuter()
}

// forkShim starts the shim with all signals blocked, as the calling thread's child.
// The files are its descriptors by number, with its socket as the last.
//
// A stop by the terminal before the shim's own exec would hold up this thread (vfork)
// for as long as the job is stopped. So the shim starts in a group of its own, which it
// leaves when it has the command's dispositions.
func forkShim(files []uintptr, attr *syscall.SysProcAttr) (pid, pidfd int, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := shim.RestoreTimerSlack(); err != nil { // this thread keeps it
		return 0, -1, fmt.Errorf("launch: restore the timer slack: %w", err)
	}
	mask, errno := shim.SignalMask(nil)
	if errno != 0 {
		return 0, -1, fmt.Errorf("launch: read signal mask: %w", errno)
	}
	blocked := ^uint64(0)
	if _, errno := shim.SignalMask(&blocked); errno != 0 {
		return 0, -1, fmt.Errorf("launch: block signals: %w", errno)
	}
	defer shim.SignalMask(&mask)
	pidfd = -1
	attr.PidFD = &pidfd
	pid, err = shim.ForkExec(&syscall.ProcAttr{Files: files, Sys: attr})
	if err != nil {
		return 0, -1, fmt.Errorf("launch: start the helper process: %w", err)
	}
	return pid, pidfd, nil
}
