package tracer

import (
	"fmt"
	"time"

	"github.com/fstrace/fstrace/events"
	"golang.org/x/sys/unix"
)

// startEvent returns the event of a new process.
func startEvent(p *process, cwd string) *events.Event {
	return &events.Event{
		Time: time.Now(), PID: p.pid, TID: p.pid, Op: events.OpStart,
		PPID: p.ppid, Argv: p.argv, Exe: p.exe, Cwd: cwd,
	}
}

// execEvent returns the event of a process that now runs another program.
func execEvent(p *process, exe string, argv []string, cwd string) *events.Event {
	return &events.Event{
		Time: time.Now(), PID: p.pid, TID: p.pid, Op: events.OpExec,
		Exe: exe, Argv: argv, Cwd: cwd,
	}
}

// exitEvent returns the event of the end of a process; exit is nil if it is not known how
// it ended.
func exitEvent(p *process, exit *events.Exit) *events.Event {
	return &events.Event{Time: time.Now(), PID: p.pid, TID: p.pid, Op: events.OpExit, Exit: exit}
}

// exitOf converts the wait status of a process that has ended: wait(2).
func exitOf(ws unix.WaitStatus) events.Exit {
	if ws.Signaled() {
		return events.Exit{Signal: signalName(ws.Signal()), Core: ws.CoreDump()}
	}
	return events.Exit{Code: ws.ExitStatus()}
}

// signalName names a signal; real-time signals, which have no names of their own,
// as bash does: signal(7).
func signalName(sig unix.Signal) string {
	if name := unix.SignalName(sig); name != "" {
		return name
	}
	const rtmin, rtmax = 34, 64
	if sig >= rtmin && sig <= rtmax {
		return fmt.Sprintf("SIGRTMIN+%d", sig-rtmin)
	}
	return fmt.Sprintf("SIG%d", sig)
}
