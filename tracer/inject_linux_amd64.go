package tracer

import (
	"os"
	"strconv"

	"github.com/fstrace/fstrace/tracer/internal/procfs"
	slots "github.com/fstrace/fstrace/tracer/internal/recorder"
	"github.com/fstrace/fstrace/tracer/internal/sys"
	"golang.org/x/sys/unix"
)

// More of struct user_regs_struct: sys/user.h.
const regRIP = 16

// A stepper makes calls in a tracee that is stopped: it points the pc at a syscall
// instruction that is there, and makes the thread execute that alone. No text is written
// for it.
type stepper struct {
	linux
	tid   int
	site  uint64
	saved [27]uint64
	mask  uint64 // of blocked signals
	gone  bool
	// stop: a SIGSTOP has come meanwhile, which cannot be blocked.
	stop bool
}

// begin stores what is to be as before in the end. All signals are blocked but SIGTRAP,
// by which a step ends: the kernel would reset its disposition.
func (s *stepper) begin() bool {
	if sys.PtraceWords(unix.PTRACE_GETREGS, s.tid, s.saved[:]) != 0 || sys.PtraceSigmask(unix.PTRACE_GETSIGMASK, s.tid, &s.mask) != 0 {
		return false
	}
	others := ^uint64(1 << (unix.SIGTRAP - 1))
	return sys.PtraceSigmask(unix.PTRACE_SETSIGMASK, s.tid, &others) == 0
}

// end restores the thread.
func (s *stepper) end() {
	_ = sys.PtraceWords(unix.PTRACE_SETREGS, s.tid, s.saved[:]) // ESRCH: killed since
	_ = sys.PtraceSigmask(unix.PTRACE_SETSIGMASK, s.tid, &s.mask)
}

// call makes a call. It returns -ESRCH if the thread was killed, or is not where it
// should be.
func (s *stepper) call(number int, args ...uint64) int64 {
	const failed = -int64(unix.ESRCH)
	if s.gone {
		return failed
	}
	regs := s.saved
	const none = ^uint64(0)
	regs[regRIP], regs[regRAX], regs[regOrigRAX] = s.site, uint64(number), none // a call that was interrupted does not start again yet
	for i, a := range args {
		regs[argRegisters[i]] = a
	}
	if sys.PtraceWords(unix.PTRACE_SETREGS, s.tid, regs[:]) != 0 {
		return failed
	}
	for {
		if !s.step() || sys.PtraceWords(unix.PTRACE_GETREGS, s.tid, regs[:]) != 0 {
			return failed
		}
		switch regs[regRIP] {
		case s.site + 2:
			return int64(regs[regRAX])
		case s.site: // it was stopped before it could execute anything
		default:
			return failed
		}
	}
}

// step executes an instruction, or less: another stop may come first.
func (s *stepper) step() bool {
	if sys.PtraceCall(unix.PTRACE_SINGLESTEP, s.tid, 0, 0) != 0 {
		return false
	}
	var ws unix.WaitStatus
	for {
		if _, err := unix.Wait4(s.tid, &ws, unix.WALL|unix.WNOTHREAD, s.usage.ask()); err == nil {
			break
		} else if err != unix.EINTR {
			s.gone = true
			return false
		}
	}
	e := waitEvent{tid: s.tid, status: ws, message: s.tid}
	switch kind := e.kind(); {
	case kind == evDead:
		s.usage.note(s.tid, ws)
		*s.backlog = append(*s.backlog, e)
		s.gone = true
		return false
	case kind == evSignal && ws.StopSignal() == unix.SIGSTOP:
		s.stop = true
	case kind == evSignal && ws.StopSignal() != unix.SIGTRAP:
		return false // a fault: the instruction is not there any more
	}
	return true
}

// inject does to a stopped thread what was prepared, or only takes the descriptors back
// that it was given. It reports whether the process records its calls now, and returns
// the signal that the thread is to get: 0 for none.
func (k linux) inject(in *injection, only bool) (done bool, sig unix.Signal) {
	s := &stepper{linux: k, tid: in.tid, site: in.site}
	if !s.begin() {
		return false, 0
	}
	defer s.end()
	done = !only && (!in.slots || s.mapPages(in))
	for _, fd := range [...]int{in.ring, in.counter} {
		if fd >= 0 {
			done = s.call(unix.SYS_CLOSE, uint64(fd)) == 0 && done
		}
	}
	// From here on the site may be no syscall instruction any more.
	done = done && in.write()
	if in.slots && !done && !only {
		from, n := in.base+slots.CounterPage, uint64(slots.LandingPage-slots.CounterPage)
		if in.code {
			from, n = in.base, slots.Size
		}
		s.call(unix.SYS_MUNMAP, from, n)
	}
	if s.stop {
		sig = unix.SIGSTOP
	}
	return done && !s.gone, sig
}

// mapPages maps what is written to later, the counter and the slots.
func (s *stepper) mapPages(in *injection) bool {
	const readWrite, shared = unix.PROT_READ | unix.PROT_WRITE, unix.MAP_SHARED
	mmap := func(at, n uint64, prot, flags, fd int) bool {
		return s.call(unix.SYS_MMAP, at, n, uint64(prot), uint64(flags), uint64(fd), 0) == int64(at)
	}
	token := in.base + slots.TokenPage
	place := unix.MAP_FIXED_NOREPLACE
	if in.code {
		if !mmap(in.base, slots.Size, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|place, -1) {
			return false
		}
		place = unix.MAP_FIXED
	}
	if in.ring < 0 || in.counter < 0 ||
		!mmap(in.base+slots.CounterPage, slots.PageSize, readWrite, shared|place, in.counter) ||
		!mmap(in.base+slots.RingPage, slots.RingSize, readWrite, shared|place, in.ring) ||
		s.call(unix.SYS_MADVISE, in.base+slots.CounterPage, slots.LandingPage-slots.CounterPage, unix.MADV_DONTFORK) != 0 {
		return false
	}
	return !in.code || s.call(unix.SYS_MPROTECT, token, slots.PageSize, readWrite) == 0 && s.call(unix.SYS_MADVISE, token, slots.PageSize, unix.MADV_WIPEONFORK) == 0
}

// write writes what was prepared. If that fails no site is led anywhere.
func (in *injection) write() bool {
	mem, err := os.OpenFile("/proc/"+strconv.Itoa(in.tid)+"/mem", os.O_RDWR, 0)
	if err != nil {
		return false
	}
	defer mem.Close()
	for i, w := range in.writes {
		if _, err := mem.WriteAt(w.data, int64(w.at)); err == nil {
			continue
		}
		for _, w := range in.writes[:i] {
			if len(w.data) == len(slots.SyscallInstruction) {
				_, _ = mem.WriteAt(slots.SyscallInstruction[:], int64(w.at)) // it could be written a moment ago
			}
		}
		return false
	}
	return true
}

// takeBack continues a thread that a fault has stopped in the recorder's code. It reports
// whether it was there.
func (linux) takeBack(tid int, base uint64) bool {
	var regs [27]uint64
	if sys.PtraceWords(unix.PTRACE_GETREGS, tid, regs[:]) != 0 {
		return false
	}
	then, ok := slots.After(base, regs[regRIP])
	if !ok {
		return false
	}
	regs[regRIP] = then
	const none = ^uint64(0)
	regs[regOrigRAX] = none
	_ = sys.PtraceWords(unix.PTRACE_SETREGS, tid, regs[:]) // ESRCH: killed since
	return true
}

// leave implements kernel: recordings.leave.
func (linux) leave(tid int, base uint64, led []slots.Led, r *slots.Ring) {
	var user [27]uint64
	if sys.PtraceWords(unix.PTRACE_GETREGS, tid, user[:]) != 0 {
		return
	}
	regs := new(slots.Registers)
	fields := map[int]*uint64{
		regRAX: &regs.RAX, 5: &regs.RBX, 11: &regs.RCX, 12: &regs.RDX, 13: &regs.RSI, 14: &regs.RDI, 9: &regs.R8, 8: &regs.R9, 7: &regs.R10,
		19: &regs.RSP, regRIP: &regs.RIP, regOrigRAX: &regs.OrigRAX,
	}
	for i, r := range fields {
		*r = user[i]
	}
	var memory procfs.Memory
	read := func(addr uint64, n int) ([]byte, error) { return memory.Bytes(tid, addr, n) }
	if !slots.Leave(base, led, r, regs, read) {
		return
	}
	for i, r := range fields {
		user[i] = *r
	}
	_ = sys.PtraceWords(unix.PTRACE_SETREGS, tid, user[:]) // ESRCH: killed since
}
