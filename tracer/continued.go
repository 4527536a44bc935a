package tracer

import (
	"github.com/fstrace/fstrace/tracer/internal/procfs"
	"golang.org/x/sys/unix"
)

// Continued reports, during a call of OnStop, whether the command has been continued
// since it stopped.
func (c *Cmd) Continued() bool {
	pid := c.Pid()
	return !procfs.Stopped(pid) || hasReport(pid)
}

// hasReport reports whether wait4 has anything to report of a child or tracee of the
// calling thread. A thread that PTRACE_LISTEN keeps stopped has nothing until it
// continues.
func hasReport(pid int) bool {
	const options = unix.WEXITED | unix.WSTOPPED | unix.WNOHANG | unix.WNOWAIT | unix.WALL | unix.WNOTHREAD
	for {
		var info unix.Siginfo
		if err := unix.Waitid(unix.P_PID, pid, &info, options, nil); err != unix.EINTR {
			return err == nil && info.Signo != 0
		}
	}
}
