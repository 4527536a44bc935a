package tracer

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/tracer/internal/observe"
	"github.com/fstrace/fstrace/tracer/internal/procfs"
	"golang.org/x/sys/unix"
)

// What is learnt of processes that ptrace does not follow, by their calls: those
// that escaped it, were released from it, or are traced without it altogether.

// processOf returns the process of a thread, and whether ptrace follows the thread. It
// enters an unknown thread. nil means that the thread has ended.
func (r *receiver) processOf(tid int) (p *process, followed bool) {
	p, followed = r.registry.find(tid)
	if p != nil && (followed || stillThread(p.pid, tid)) {
		return p, followed
	}
	if s, ok := asLeader(tid); ok {
		return r.newUntraced(&s), false
	}
	st, err := procfs.ReadStatus(tid)
	if err != nil {
		if !errors.Is(err, os.ErrNotExist) && !errors.Is(err, unix.ESRCH) {
			r.incomplete.add(events.ReasonUntraced, 0, fmt.Sprintf("a thread's process could not be found out: %v", err))
		}
		return nil, false
	}
	if p, _ = r.registry.find(st.TGID); p == nil || p.pid != st.TGID {
		s := untraced{pid: st.TGID, ppid: st.PPID}
		s.fd, s.inode = openPidfd(s.pid) // its thread waits for us: it is there
		p = r.newUntraced(&s)
	}
	if tid != st.TGID {
		r.registry.enter(tid, p, false)
	}
	return p, false
}

// An untraced is a process that became known by its first notification, which waits for
// the answer.
type untraced struct {
	pid, ppid int
	fd        int    // its pidfd, -1 if there is none to spare
	inode     uint64 // of that
}

// asLeader asks the kernel about a thread that may be the leader of a process, by
// PIDFD_GET_INFO (Linux 6.13), which is faster than /proc.
func asLeader(tid int) (s untraced, ok bool) {
	fd, inode := openPidfd(tid)
	if fd < 0 {
		return s, false
	}
	info := unix.PidfdInfo{Mask: unix.PIDFD_INFO_PID}
	if err := unix.IoctlPidfdInfo(fd, &info); err != nil {
		unix.Close(fd)
		return s, false
	}
	return untraced{pid: tid, ppid: int(info.Ppid), fd: fd, inode: inode}, true
}

// endUnseen says of a process that there was no descriptor for a pidfd of it.
const endUnseen = "its end is not seen: more processes than files may be open"

// newUntraced enters a process at its first notification.
func (r *receiver) newUntraced(s *untraced) *process {
	p := &process{pid: s.pid, ppid: s.ppid, argv: procfs.Argv(s.pid), exe: procfs.ReadLink(s.pid, "exe")}
	family, known := r.familyOf(s.pid, s.ppid)
	if p.family.Store(family); !known {
		r.inners.orphaned(s.pid, family)
	}
	r.inners.noteImage(p)
	r.registry.enter(s.pid, p, false)
	_ = r.keeper.need() // it will not die with us; at the end another attempt is made
	if s.fd >= 0 {
		r.owner.mail.post(msgStarted{proc: p, fd: s.fd, inode: s.inode})
		r.owner.mail.postSoon(msgEscaped{p, -1}) // the consumer flushes, after the process's start
	} else { // who would tell that its number is another's?
		r.inners.unseen(p)
		r.incomplete.add(events.ReasonUntraced, s.pid, endUnseen)
	}
	r.queue.process(p, startEvent(p, procfs.ReadLink(s.pid, "cwd")))
	return p
}

// stillThread reports whether a tid is a thread of a process, not of another that has got
// its number: the ends of the threads of an untraced process are not reported. The end of
// the process itself shows by its pidfd.
func stillThread(pid, tid int) bool {
	return tid == pid || linux{}.isThread(pid, tid)
}

// executed finds out whether a process that called exec runs another program now.
func (r *receiver) executed(p *process) {
	exe, argv := procfs.ReadLink(p.pid, "exe"), procfs.Argv(p.pid)
	if exe == "" {
		exe = r.registry.tried(p)
	}
	if isShim(argv) {
		r.registry.setTrying(p, r.registry.tried(p), false) // the launch has not come to the command
		return
	}
	r.inners.noteImage(p)
	before, args := r.registry.program(p)
	if exe == before && slices.Equal(argv, args) {
		return // the exec failed, or changed nothing that shows
	}
	r.registry.setProgram(p, exe, argv)
	emit := func(e *events.Event) { r.queue.process(p, e) }
	observe.Interpreter(r.registry.takeRunning(p), p.pid, exe, argv, r.incomplete.add, emit)
	emit(execEvent(p, exe, argv, procfs.ReadLink(p.pid, "cwd")))
}

// numbered returns the tid, in fstrace's pid namespace, of a thread that a caller
// in another one names, or 0.
func (r *receiver) numbered(caller, tid int) int {
	st, err := procfs.ReadStatus(caller)
	if err != nil {
		return 0
	}
	if st.InnerTID == caller {
		return tid
	}
	ns := procfs.ReadLink(caller, "ns/pid")
	for _, candidate := range r.registry.tids() {
		if other, err := procfs.ReadStatus(candidate); err == nil && other.InnerTID == tid && procfs.ReadLink(candidate, "ns/pid") == ns {
			return candidate
		}
	}
	return 0
}

// interruptThread sends a thread the SIGSTOP that the tracer thread takes back, by
// pidfd: still reports, when the pidfd is open, whether its number was still that
// thread's.
func interruptThread(pid, tid int, still func() bool) error {
	fd, err := unix.PidfdOpen(tid, unix.PIDFD_THREAD)
	if err == unix.EINVAL { // before Linux 6.9 threads have none
		return unix.Tgkill(pid, tid, unix.SIGSTOP)
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if !still() {
		return unix.ESRCH
	}
	return unix.PidfdSendSignal(fd, unix.SIGSTOP, nil, 0)
}
