package shim

import (
	"math"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// A Launch is what the shim is to run. Strings are bytes: an environment need not
// be UTF-8.
type Launch struct {
	Path    string // the file, looked up in PATH if it has no slash
	Dir     string // "" keeps the directory
	Argv    []string
	Env     []string
	Filter  string // the program, an array of struct sock_filter
	Signals Signals
	Umask   int32  // negative keeps it
	Setsid  bool   // it is in a session of its own, and stays there
	Tracer  uint32 // the process that is going to trace it, 0 for its parent
	Files   int    // so many descriptors follow, which become 0 and up; 0 if it has its own
	Rest    int    // from this number on, descriptors are closed; 0 keeps them
}

// instructionSize is that of struct sock_filter.
const instructionSize = 8

// A builder makes the program of a launch.
type builder struct {
	*program
	launch *Launch
	end    label // exits with ExitFailed: the supervisor is gone
}

// Encode returns the message to the shim: the calls that it is to make, from its start to
// its exec.
func (l *Launch) Encode() []byte {
	b := builder{program: newProgram(l.dataSize()), launch: l}
	b.end = b.label()
	b.call(syscall.SYS_FCNTL, b.end, socket(), number(syscall.F_SETFD), number(syscall.FD_CLOEXEC))
	if l.Files > 0 {
		b.receiveFiles()
	}
	if l.Rest > 0 { // Linux 5.9; a sandbox may forbid it
		b.call(unix.SYS_CLOSE_RANGE, 0, number(uint64(l.Rest)), number(math.MaxUint32), number(0))
	}
	b.become()
	b.handOver()
	b.await()
	b.setMask(l.Signals.Mask)
	b.exec()
	b.place(b.end)
	b.exit()
	return b.encode()
}

// dataSize is about as much as the program has to have for l.
func (l *Launch) dataSize() int {
	const others, pointer = 4 << 10, 8
	size := others + len(l.Filter)
	for _, s := range l.Argv {
		size += len(s) + pointer
	}
	for _, s := range l.Env {
		size += len(s) + pointer
	}
	return size
}

// call adds a call, and where to go if it fails.
func (b *builder) call(nr int, failed label, args ...operand) {
	b.add(op{call: nr, args: args, failed: failed})
}

func (b *builder) exit() {
	b.add(op{call: syscall.SYS_EXIT_GROUP, args: []operand{number(ExitFailed)}})
}

// attempt adds a call that is a step of the launch: if it fails the shim reports that to
// the supervisor, and the shim ends.
func (b *builder) attempt(step string, nr int, args ...operand) {
	done := b.label()
	message, errno := b.failure(step, 0)
	b.add(op{call: nr, args: args, result: errno, done: done})
	b.report(message)
	b.place(done)
}

// report sends the supervisor a failure, and ends the shim.
func (b *builder) report(m message) {
	b.tell(m.address, m.size)
	b.exit()
}

// A message is one to the supervisor.
type message struct {
	address operand
	size    uint64
}

// failure adds the message that a step has failed, and returns it with the place of the
// error number.
func (b *builder) failure(step string, errno syscall.Errno) (message, operand) {
	f := Failure{step, errno}
	encoded := f.encode()
	m := message{b.put(encoded), uint64(len(encoded))}
	return m, m.address.plus(len(encoded) - errnoSize)
}

// tell sends the supervisor something. Unlike sendmsg, this call is not notified.
func (b *builder) tell(address operand, size uint64) {
	b.call(syscall.SYS_SENDTO, b.end, socket(), address, number(size), number(syscall.MSG_NOSIGNAL))
}

// jump goes on at a label.
func (b *builder) jump(to label) { b.add(op{call: noCall, args: []operand{number(0)}, done: to}) }

// become has the shim take on what the command is to start with, but for what the launch
// itself still needs.
func (b *builder) become() {
	l := b.launch
	b.dispositions()
	if !l.Setsid {
		b.joinGroup()
	}
	if l.Umask >= 0 {
		b.call(syscall.SYS_UMASK, 0, number(uint64(l.Umask)))
	}
	if l.Tracer != 0 {
		// For Yama, which lets only ancestors trace by themselves. Without it: EINVAL.
		b.call(syscall.SYS_PRCTL, 0, number(syscall.PR_SET_PTRACER), number(uint64(l.Tracer)))
	}
	// Stops by the terminal must find the command traced.
	b.setMask(l.Signals.Mask | StopSignals)
	if l.Dir != "" {
		b.changeDirectory()
	}
}

// receiveFiles receives the command's descriptors. None below the socket's number is
// open, so the kernel gives them the lowest numbers, in order: unix(7), SCM_RIGHTS. Those
// that the limit of open files does not allow are missing.
func (b *builder) receiveFiles() {
	const step, headerSize = "receive the descriptors", 16 // CMSG_LEN(0)
	size := uint64(headerSize + 4*b.launch.Files)
	one := b.vector([]operand{b.put(make([]byte, 1)), number(1)}) // struct iovec
	message := b.vector([]operand{number(0), number(0), one, number(1), b.put(make([]byte, size)), number(size), number(0)})
	again, check, done := b.label(), b.label(), b.label()
	b.place(again)
	b.add(op{
		call: syscall.SYS_RECVMSG, args: []operand{socket(), message, number(0)},
		cases: []branch{{0, b.end}, {-int64(syscall.EINTR), again}}, done: check, failed: b.end,
	})
	b.place(check)
	tooMany, _ := b.failure(step, syscall.EMFILE)
	b.add(op{call: syscall.SYS_FCNTL, args: []operand{number(uint64(b.launch.Files - 1)), number(syscall.F_GETFD)}, done: done})
	b.report(tooMany)
	b.place(done)
}

func (b *builder) changeDirectory() {
	dir := b.launch.Dir
	step := "change directory to " + dir
	if !isPath(dir) {
		b.refuse(step)
		return
	}
	b.attempt(step, syscall.SYS_CHDIR, b.string(dir))
}

// isPath reports whether the kernel can be given a string: a NUL would end it.
func isPath(s string) bool { return strings.IndexByte(s, 0) < 0 }

// refuse has a step fail that would make no sense to the kernel.
func (b *builder) refuse(step string) {
	m, _ := b.failure(step, syscall.EINVAL)
	b.report(m)
}

// dispositions ignores what was ignored when fstrace was started, and gives every
// other signal its default effect: one that comes before the exec acts as it would
// on the command.
func (b *builder) dispositions() {
	byDefault := b.put(kernelSigaction{handler: SignalDefault}.bytes())
	ignored := b.put(kernelSigaction{handler: SignalIgnore}.bytes())
	for sig := 1; sig <= SignalCount; sig++ {
		action := byDefault
		if b.launch.Signals.Ignored&(1<<(sig-1)) != 0 {
			action = ignored
		}
		switch syscall.Signal(sig) {
		case syscall.SIGKILL, syscall.SIGSTOP:
			continue
		}
		b.call(syscall.SYS_RT_SIGACTION, 0, number(uint64(sig)), action, number(0), number(8))
	}
}

func (b *builder) setMask(mask uint64) {
	const setMask = 2 // SIG_SETMASK
	set := b.vector([]operand{number(mask)})
	b.attempt("set signal mask", syscall.SYS_RT_SIGPROCMASK, number(setMask), set, number(0), number(8))
}

// joinGroup leaves the group of its own that the shim was started in. Until now the
// group's signals have been blocked here, and the supervisor has kept them instead. From
// now on they have their effect here.
//
// If the supervisor is gone, so is its group; the parent is another then, of a
// session that may not be joined.
func (b *builder) joinGroup() {
	const step = "join the process group"
	get, set := b.label(), b.label()
	b.add(op{call: syscall.SYS_GETPPID, result: argument(get, 0)})
	b.place(get)
	// An error number is no group: EINVAL.
	b.add(op{call: syscall.SYS_GETPGID, args: []operand{number(0)}, result: argument(set, 1)})
	b.place(set)
	b.attempt(step, syscall.SYS_SETPGID, number(0), number(0))
}

// linux/seccomp.h and linux/prctl.h, as seccomp(2) and prctl(2) describe it.
const (
	setModeFilter    = 1
	flagSpecAllow    = 1 << 2 // Linux 4.17
	flagNewListener  = 1 << 3 // Linux 5.0
	flagWaitKillable = 1 << 5 // Linux 5.19

	prSetNoNewPrivs = 38 // Linux 3.5
)

// handOver installs the filter and sends the listener. From then on each file call
// sleeps until the supervisor has it.
//
// It installs as package seccomp's Install does, with no_new_privs only if it does not go
// without: that would keep a privileged user's setuid programs from working.
func (b *builder) handOver() {
	const full, older = flagNewListener | flagWaitKillable | flagSpecAllow, flagNewListener | flagSpecAllow
	message, listener := b.carrier()
	nested, send, done, failed := b.label(), b.label(), b.label(), b.label()
	prog := b.vector([]operand{number(uint64(len(b.launch.Filter) / instructionSize)), b.putString(b.launch.Filter)}) // struct sock_fprog

	// The result is the listener or an error number.
	install := func(flags int, cases ...branch) {
		cases = append(cases, branch{-int64(syscall.EBUSY), nested}) // a filter has one listener at most above it
		b.add(op{
			call: unix.SYS_SECCOMP, args: []operand{number(setModeFilter), number(uint64(flags)), prog},
			result: listener, cases: cases, done: send, failed: failed,
		})
	}
	// Before Linux 5.19 WAIT_KILLABLE is EINVAL.
	withoutKillable, withPrivileges, last := b.label(), b.label(), b.label()
	install(full, branch{-int64(syscall.EINVAL), withoutKillable}, branch{-int64(syscall.EACCES), withPrivileges})
	b.place(withoutKillable)
	install(older, branch{-int64(syscall.EACCES), withPrivileges})
	b.place(withPrivileges)
	b.add(op{
		call: syscall.SYS_PRCTL, args: []operand{number(prSetNoNewPrivs), number(1), number(0), number(0), number(0)},
		result: listener, failed: failed,
	})
	install(full, branch{-int64(syscall.EINVAL), last})
	b.place(last)
	install(older)

	b.place(failed)
	head, errno := b.failure(StepFilter, 0)
	b.tell(head.address, errno.value-head.address.value)
	b.tell(listener, 8)
	b.exit()

	b.place(nested)
	b.tell(b.put([]byte{ReplyNested}), 1)
	b.jump(done)

	b.place(send)
	b.call(syscall.SYS_SENDMSG, b.end, socket(), message, number(HandOverFlags))
	b.place(done)
}

// carrier adds the message that hands the listener over, and returns it with the place
// for the listener's number: unix(7), SCM_RIGHTS, as struct msghdr and struct cmsghdr.
func (b *builder) carrier() (message, listener operand) {
	const headerSize, size = 16, 20 // CMSG_LEN(0), CMSG_LEN(4)
	rights := uint64(syscall.SOL_SOCKET) | uint64(syscall.SCM_RIGHTS)<<32
	control := b.vector([]operand{number(size), number(rights), number(0)})
	byteToo := b.vector([]operand{b.put([]byte{ReplyListener}), number(1)}) // struct iovec
	message = b.vector([]operand{number(0), number(0), byteToo, number(1), control, number(size), number(0)})
	return message, control.plus(headerSize)
}

// await waits for the go-ahead. A supervisor that is gone gives none.
func (b *builder) await() {
	again := b.label()
	b.place(again)
	b.add(op{
		call: syscall.SYS_READ, args: []operand{socket(), b.put(make([]byte, 1)), number(1)},
		cases: []branch{{0, b.end}, {-int64(syscall.EINTR), again}}, failed: b.end,
	})
}
