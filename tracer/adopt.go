package tracer

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/fstrace/fstrace/tracer/internal/procfs"
	"github.com/fstrace/fstrace/tracer/internal/shim"
	"golang.org/x/sys/unix"
)

// Adopted returns a [Launch] for descriptors that another program has passed on: the
// control socket and the pidfd of a process that it has launched, and a socket to the
// fstrace in whose session that process is, or nil. The process must be a child of
// parent, must have only the user uid, and must be in the mount and pid namespaces of
// this process. On success the Launch owns the files.
//
// The sender is not trusted: Adopted verifies all of that.
func Adopted(control, process, outer *os.File, parent, uid int) (*Launch, error) {
	if err := isControl(control); err != nil {
		return nil, err
	}
	if outer != nil {
		if err := isOuter(outer); err != nil {
			return nil, err
		}
	}
	pid, err := pidOf(process)
	if err != nil {
		return nil, err
	}
	ppid, err := checkProcess(pid, uid)
	if err != nil {
		return nil, err
	}
	if ppid != parent || pid == os.Getpid() {
		return nil, fmt.Errorf("%w: it is no child of the process that passes it on", errNotOurs)
	}
	l := &Launch{PID: pid, PPID: ppid, Control: control, Process: process, Outer: outer}
	if l.ended(0) { // what has been read may be of another
		return nil, fmt.Errorf("%w: it has ended", errNotOurs)
	}
	return l, nil
}

// errNotOurs: what was passed on is no process that can be adopted.
var errNotOurs = errors.New("adopt: not a process that was launched here")

// isControl reports whether f can be the control socket: reading from it must be what
// unix(7) says, and end when it is shut down.
func isControl(f *os.File) error {
	var kind, domain int
	err := control(f, func(fd int) (err error) {
		if kind, err = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE); err == nil {
			domain, err = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
		}
		return err
	})
	if err != nil || kind != unix.SOCK_STREAM || domain != unix.AF_UNIX {
		return fmt.Errorf("%w: its control socket is none", errNotOurs)
	}
	return nil
}

// isOuter reports whether f can be a socket to another fstrace, and prepares it: reading
// from it must be what unix(7) says, and must not block.
func isOuter(f *os.File) error {
	if err := isControl(f); err != nil {
		return fmt.Errorf("%w: the socket to the fstrace above is none", errNotOurs)
	}
	return control(f, func(fd int) error { return unix.SetNonblock(fd, true) })
}

// pidOf returns the number of a pidfd's process: pidfd_open(2), "Pid:" in fdinfo.
func pidOf(f *os.File) (pid int, err error) {
	err = control(f, func(fd int) error {
		text, err := procfs.FDInfo(unix.Getpid(), fd, "Pid")
		if err == nil && text == nil {
			err = errors.New("not a pidfd")
		}
		if err == nil {
			pid, err = strconv.Atoi(string(text))
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("%w: %w", errNotOurs, err)
	}
	if pid <= 0 { // it has ended, or is in a pid namespace that is not below ours
		return 0, fmt.Errorf("%w: it has no number here", errNotOurs)
	}
	return pid, nil
}

// checkProcess returns a process's parent, if it is one to adopt.
func checkProcess(pid, uid int) (ppid int, err error) {
	st, err := procfs.ReadStatus(pid)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", errNotOurs, err)
	}
	if st.UIDs != [4]int{uid, uid, uid, uid} {
		return 0, fmt.Errorf("%w: it is another user's", errNotOurs)
	}
	dir := "/proc/" + strconv.Itoa(pid)
	for _, name := range []string{"/ns/mnt", "/ns/pid", "/root"} {
		theirs, err := os.Readlink(dir + name)
		if err != nil {
			return 0, fmt.Errorf("adopt: %w", err)
		}
		own, err := os.Readlink("/proc/self" + name)
		if err != nil {
			return 0, fmt.Errorf("adopt: %w", err)
		}
		if theirs != own {
			return 0, fmt.Errorf("adopt: the command's %s is %s, this process's is %s: they must be the same", name[1:], theirs, own)
		}
	}
	return st.PPID, nil
}

// control calls f with a file's descriptor.
func control(file *os.File, f func(fd int) error) error {
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	if rawErr := raw.Control(func(fd uintptr) { err = f(int(fd)) }); rawErr != nil {
		return rawErr
	}
	return err
}

// Abort breaks off an adoption that waits for the other side.
func (l *Launch) Abort() {
	_ = control(l.Control, func(fd int) error { return unix.Shutdown(fd, unix.SHUT_RDWR) })
}

// socket returns a descriptor of the control socket, for raw calls.
func (l *Launch) socket() (int, error) { return duplicate(l.Control) }

// duplicate returns a pidfd of the process.
func (l *Launch) duplicate() (int, error) { return duplicate(l.Process) }

func duplicate(f *os.File) (dup int, err error) {
	dup = -1
	err = control(f, func(fd int) (err error) {
		dup, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
		return err
	})
	if err != nil {
		return -1, fmt.Errorf("adopt: %w", err)
	}
	return dup, nil
}

// ended waits for the process's end, that many milliseconds, and reports whether it has
// come. A negative number means no limit.
func (l *Launch) ended(milliseconds int) bool {
	ended := false
	_ = control(l.Process, func(fd int) error {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		for {
			n, err := unix.Poll(fds, milliseconds)
			if err != unix.EINTR {
				ended = n > 0
				return nil
			}
		}
	})
	return ended
}

// status returns how a process that is nobody's child here has ended. 125 stands for
// a status that is not known: before Linux 6.15 its parent may have reaped it first.
func (l *Launch) status() (ws unix.WaitStatus) {
	const unknown = shim.ExitFailed << 8
	ws = unknown
	_ = control(l.Process, func(fd int) error {
		for range 2 { // reaped between the two, it has its status with the first again
			info := unix.PidfdInfo{Mask: unix.PIDFD_INFO_EXIT}
			if err := unix.IoctlPidfdInfo(fd, &info); err == nil && info.Mask&unix.PIDFD_INFO_EXIT != 0 {
				ws = unix.WaitStatus(info.Exit_code)
				return nil
			}
			if zombie, ok := procfs.Zombie(l.PID); ok {
				ws = zombie
				return nil
			}
		}
		return nil
	})
	return ws
}

// Continued reports, while Wait calls stopped, whether the process has been continued
// since it stopped.
func (l *Launch) Continued() bool { return !procfs.Stopped(l.PID) }

// isListener reports whether a descriptor is a listener. A process that was passed on may
// send any descriptor.
func isListener(fd int) bool {
	name, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
	return err == nil && name == "anon_inode:seccomp notify"
}
