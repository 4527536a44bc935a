package tracer

import (
	"fmt"
	"time"

	"github.com/fstrace/fstrace/tracer/internal/procfs"
	"github.com/fstrace/fstrace/tracer/internal/sys"
	"github.com/fstrace/fstrace/tracer/internal/syscalls"
	"golang.org/x/sys/unix"
)

// seizeOptions: tracees die with the tracer thread, and their children are
// tracees from their first instruction. Threads' exits need no stop: wait4 reports them.
const seizeOptions = unix.PTRACE_O_EXITKILL | unix.PTRACE_O_TRACEFORK | unix.PTRACE_O_TRACEVFORK |
	unix.PTRACE_O_TRACECLONE | unix.PTRACE_O_TRACEEXEC

// linux is the kernel itself. ptrace knows a tracer as a thread: each method is
// for the tracer thread alone.
type linux struct {
	index    *syscalls.Index
	blocked  *blockedCalls
	restarts *restarts
	frames   *handlerFrames
	usage    *rootUsage   // nil if nobody wants it
	backlog  *[]waitEvent // reports that came in the middle of something
}

// seize attaches to a thread without stopping it: PTRACE_SEIZE, Linux 3.4.
func seize(tid int) error {
	if errno := sys.PtraceCall(unix.PTRACE_SEIZE, tid, 0, seizeOptions); errno != 0 {
		return fmt.Errorf("ptrace: seize %d: %w", tid, errno)
	}
	return nil
}

// wait implements waiter. __WALL reports threads as well as processes,
// __WNOTHREAD only what this very thread traces or has started: the host
// program's own children are left to it. WUNTRACED reports stops of the command
// itself when it is a child but no tracee.
func (k linux) wait(block bool) (waitEvent, bool, error) {
	if k.backlog != nil && len(*k.backlog) > 0 {
		e := (*k.backlog)[0]
		*k.backlog = (*k.backlog)[1:]
		return e, true, nil
	}
	options := unix.WALL | unix.WNOTHREAD | unix.WUNTRACED
	if !block {
		options |= unix.WNOHANG
	}
	for {
		var ws unix.WaitStatus
		tid, err := unix.Wait4(-1, &ws, options, k.usage.ask())
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.ECHILD:
			return waitEvent{}, false, errNoTracees
		case err != nil:
			return waitEvent{}, false, fmt.Errorf("wait for tracees: %w", err)
		case tid == 0:
			return waitEvent{}, false, nil
		}
		k.usage.note(tid, ws)
		e := waitEvent{tid: tid, status: ws}
		if k.frames.stopped(&e) {
			_ = sys.PtraceCall(unix.PTRACE_CONT, tid, 0, 0)
			continue
		}
		switch e.kind() {
		case evDead:
			k.blocked.note(tid, 0, false)
		case evNew, evExec:
			msg, errno := sys.PtraceEventMessage(tid)
			if errno != 0 {
				e.message = tid // it was killed since: nothing more is to be known
			} else {
				e.message = int(msg)
			}
		}
		return e, true, nil
	}
}

func (k linux) resume(tid int, sig unix.Signal) {
	if k.frames.step(tid, sig) {
		return
	}
	_ = sys.PtraceCall(unix.PTRACE_CONT, tid, 0, uintptr(sig))
}

func (k linux) listen(tid int) {
	k.restarts.groupStop(tid)
	_ = sys.PtraceCall(unix.PTRACE_LISTEN, tid, 0, 0)
}
func (linux) interrupt(tid int) { _ = sys.PtraceCall(unix.PTRACE_INTERRUPT, tid, 0, 0) }
func (k linux) detach(tid int, sig unix.Signal) {
	if k.frames.stepNow(tid, sig) {
		sig = 0
	}
	_ = sys.PtraceCall(unix.PTRACE_DETACH, tid, 0, uintptr(sig))
}

// sender returns the process that sent the signal that a tracee is stopped for, 0 if
// it was the kernel; ok is false for signals that are not sent. PTRACE_GETSIGINFO.
func (linux) sender(tid int) (pid int, ok bool) {
	const siUser, siKernel, siTkill = 0, 0x80, -6
	var info [16]uint64 // siginfo_t
	if errno := sys.PtraceWords(unix.PTRACE_GETSIGINFO, tid, info[:]); errno != 0 {
		return 0, false
	}
	switch int32(info[1]) { // si_code; si_pid comes next
	case siUser, siTkill:
		return int(int32(info[2])), true
	case siKernel:
		return 0, true
	}
	return 0, false
}

// isThread asks by signal 0, which is none: tgkill(2).
func (linux) isThread(pid, tid int) bool {
	err := unix.Tgkill(pid, tid, 0)
	return err == nil || err == unix.EPERM
}

func (linux) status(tid int) (procfs.Status, bool) {
	st, err := procfs.ReadStatus(tid)
	return st, err == nil
}

func (linux) image(pid int) (exe string, argv []string) {
	return procfs.ReadLink(pid, "exe"), procfs.Argv(pid)
}
func (linux) cwd(pid int) string { return procfs.ReadLink(pid, "cwd") }

// awaitStop waits for the state of a process to show that it is stopped: proc(5). It is
// on its way there, unless it has been continued or killed since.
func (linux) awaitStop(tid int) {
	const patience = 10 * time.Millisecond
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); yield() {
		if state := procfs.State(tid); state != 'R' && state != 't' {
			return
		}
	}
}

// yield gives the processor to another thread.
func yield() { _, _, _ = unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0) }

// restartNoIntr is the kernel's -ERESTARTNOINTR: how a call that a signal has interrupted
// says, to the code that delivers the signal and never to the program, that it is to run
// again.
const restartNoIntr = -513

// settleSignal mends what waiting for a reply changes in a program: a file call
// that never sleeps interruptibly by itself would give EINTR to a program whose
// handler has no SA_RESTART. A call that was continued, and sleeps, is left alone. And
// it mends what ptrace changes: a signal that is ignored interrupts calls (restarts.go).
func (k linux) settleSignal(tid int, sig unix.Signal) {
	regs, ok := interruptedCall(tid)
	if !ok {
		return
	}
	switch {
	case regs.interrupted(tid):
		if k.rowOf(&regs) != nil && !k.blocked.has(tid, regs.number) {
			k.frames.restart(tid, sig, &regs)
		}
	case regs.result() == -int64(unix.EINTR):
		k.restarts.settle(tid, sig, &regs)
	}
}

// rowOf finds the interrupted call in the table, by whichever ABI it was made.
func (k linux) rowOf(regs *callRegisters) *syscalls.Row {
	return k.index.Row(regs.arch, regs.number)
}
