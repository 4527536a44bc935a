package tracer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/seccomp"
	"github.com/fstrace/fstrace/tracer/internal/procfs"
	"github.com/fstrace/fstrace/tracer/internal/shim"
	"github.com/fstrace/fstrace/tracer/internal/syscalls"
	"golang.org/x/sys/unix"
)

// ptraceRequest answers a call of ptrace: if it is about a thread that fstrace traces,
// that is released first (release_to_debugger.go).
func (r *receiver) ptraceRequest(n *seccomp.Notification, caller *process, followed bool) error {
	tid := int(n.PID)
	target := 0
	switch uint32(n.Data.Args[0]) {
	case unix.PTRACE_TRACEME:
		target = tid
	case unix.PTRACE_ATTACH, unix.PTRACE_SEIZE:
		target = r.numbered(tid, int(int32(n.Data.Args[1])))
	}
	if _, traced := r.registry.find(target); !traced {
		return r.letThrough(n)
	}
	_ = r.keeper.need() // the target will not die with us; at the end another attempt is made
	if !followed {
		go r.ptraceByUntraced(n.ID, target)
		return nil
	}
	r.requests.add(tid, target)
	if err := interruptThread(caller.pid, tid, func() bool { return r.listener.Valid(n.ID) }); err != nil {
		r.requests.take(tid)
		return r.letThrough(n)
	}
	if err := r.listener.Errno(n.ID, -restartNoIntr); !errors.Is(err, seccomp.ErrGone) {
		return err
	}
	return nil
}

// ptraceByUntraced answers a caller that the tracer thread cannot stop: a debugger
// that is itself being debugged. The target is stopped instead, and the caller
// held meanwhile; if the target cannot be stopped it gets EPERM, as it would from
// any tracee.
func (r *receiver) ptraceByUntraced(id uint64, target int) {
	const patience = 2 * time.Second
	if p, _ := r.registry.find(target); p != nil {
		r.stopOut(p.pid, target, patience)
	}
	_ = r.listener.Continue(id) // ErrGone: it was killed meanwhile
}

// stopOut stops a tracee to release it, and waits for that. A tracee that takes
// longer to stop is released when it does: the signal is on its way, and must not be
// left to it.
func (r *receiver) stopOut(pid, tid int, patience time.Duration) {
	const step = time.Millisecond
	followed := func() bool {
		_, followed := r.registry.find(tid)
		return followed
	}
	r.requests.add(tid, tid)
	if err := interruptThread(pid, tid, followed); err != nil {
		r.requests.take(tid)
		return
	}
	for deadline := time.Now().Add(patience); followed() && time.Now().Before(deadline); time.Sleep(step) {
	}
}

// inspectFilter looks at a filter that a process is about to install. One that
// wants to trace calls itself (strace --seccomp-bpf, proot) does not get to see
// those that fstrace's filter notifies: the kernel runs both, and obeys the
// notification: seccomp(2).
func (h *hand) inspectFilter(n *seccomp.Notification, p *process, row *syscalls.Row, abi *seccomp.ABI) {
	program, flags := n.Data.Args[2], uint64(0)
	if row.How == syscalls.BySeccomp {
		const setModeFilter = 1
		if uint32(n.Data.Args[0]) != setModeFilter {
			return
		}
		flags = n.Data.Args[1]
	}
	traces, err := filterTraces(&h.memory, int(n.PID), program, syscalls.Narrow(abi))
	if errors.Is(err, procfs.ErrBadAddress) || errors.Is(err, procfs.ErrCallerGone) {
		return // EFAULT: it installs nothing. Libraries find out so which flags the kernel has
	}
	const newListener = 1 << 3
	if flags&newListener != 0 && !isShim(procfs.Argv(p.pid)) {
		h.incomplete.add(events.ReasonBypassedFilter, p.pid, "it may not have a listener of its own (EBUSY)")
	}
	switch {
	case err != nil:
		h.incomplete.add(events.ReasonBypassedFilter, p.pid, fmt.Sprintf("a filter that could not be read: %v", err))
	case traces:
		h.incomplete.add(events.ReasonBypassedFilter, p.pid, "its own SECCOMP_RET_TRACE filter does not see the calls that are recorded")
	}
}

// isShim reports, by its arguments, whether a process is a shim. That of another fstrace
// does without a listener: nothing is missed here, nor does its command behave
// otherwise.
func isShim(argv []string) bool { return len(argv) > 0 && argv[0] == shim.Name }

// filterTraces reports whether a filter in a tracee's memory (struct sock_fprog) can
// return SECCOMP_RET_TRACE.
func filterTraces(m *procfs.Memory, tid int, addr uint64, narrow bool) (bool, error) {
	const retConstant, retTrace, actionMask = 0x06, 0x7ff00000, 0xffff0000
	size := 16
	if narrow {
		size = 8
	}
	head, err := m.Bytes(tid, addr, size)
	if err != nil {
		return false, err
	}
	count := int(binary.NativeEndian.Uint16(head))
	at := uint64(binary.NativeEndian.Uint32(head[4:]))
	if !narrow {
		at = binary.NativeEndian.Uint64(head[8:])
	}
	for ; count > 0; count-- {
		in, err := m.Bytes(tid, at, 8)
		if err != nil {
			return false, err
		}
		if binary.NativeEndian.Uint16(in) == retConstant && binary.NativeEndian.Uint32(in[4:])&actionMask == retTrace {
			return true, nil
		}
		at += 8
	}
	return false, nil
}
