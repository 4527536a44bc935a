package shim

import (
	"errors"
	"syscall"
)

// init makes this process the shim that it was started to be. It happens here, not
// in main, so that each program that uses package tracer has its shims.
func init() {
	if socket, ok := socketOf(syscall.Environ()); ok {
		run(socket)
	}
}

// run is the process that becomes the command: started by the tracer thread, with the
// command's descriptors, group, session, terminal, limits and umask. It gets the rest
// from the supervisor, installs the filter, hands the listener over, waits to be traced,
// and execs. It does not return.
//
// Why a process of its own: between fork and exec the Go runtime allows nothing;
// and a stop by the terminal during the launch then stops the shim, not a child
// that shares the supervisor's memory and holds up its thread (vfork).
func run(socket int) {
	s := shim{socket: socket}
	closeOnExec(socket)
	for fd := range 3 {
		if StartedClosed(fd) {
			closeOnExec(fd) // what the runtime opened in its place
		}
	}
	b, err := readMessage(rawRead, socket)
	if err != nil {
		syscall.Exit(ExitFailed) // nobody to tell
	}
	if s.launch, err = decodeLaunch(b); err != nil {
		s.fail("read what to run", err)
	}
	s.become()
	s.handOver()
	var reply [1]byte
	if err := readFull(rawRead, socket, reply[:]); err != nil || reply[0] != GoAhead {
		syscall.Exit(ExitFailed)
	}
	if err := RestoreTimerSlack(); err != nil {
		s.fail("restore the timer slack", err)
	}
	mask := s.launch.Signals.Mask
	if _, errno := SignalMask(&mask); errno != 0 {
		s.fail("restore signal mask", errno)
	}
	s.fail(StepExec, s.exec())
}

// Steps of a launch that the supervisor tells from others.
const (
	StepFilter = "install filter"
	StepExec   = "exec" // the last one
)

// ExitFailed is the status of a process of ours that could not do its work.
const ExitFailed = 125

type shim struct {
	socket int
	launch *Launch
}

// fail tells the supervisor, and ends.
func (s *shim) fail(step string, err error) {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		errno, step = syscall.EINVAL, step+": "+err.Error()
	}
	f := Failure{Step: step, Errno: errno}
	_ = WriteFull(s.socket, f.Encode()) // a supervisor that is gone needs no answer
	// Whether the command was not found cannot be looked up here any more without
	// that being recorded as the command's doing.
	status := [1]byte{ExitFailed}
	if step == StepExec {
		_ = readFull(rawRead, s.socket, status[:])
	}
	syscall.Exit(int(status[0]))
}

// become takes on what the command is to start with, but for what the launch itself
// still needs.
func (s *shim) become() {
	s.dispositions()
	if !s.launch.Apart {
		if err := s.joinGroup(); err != nil {
			s.fail("join the process group", err)
		}
	}
	if s.launch.Umask >= 0 {
		syscall.Umask(int(s.launch.Umask))
	}
	if s.launch.Tracer != 0 {
		// For Yama, which lets only ancestors trace by themselves. Without it: EINVAL.
		_ = prctl(syscall.PR_SET_PTRACER, uintptr(s.launch.Tracer))
	}
	// Stops by the terminal must find the command traced.
	launching := s.launch.Signals.Mask | StopSignals
	if _, errno := SignalMask(&launching); errno != 0 {
		s.fail("set signal mask", errno)
	}
	if s.launch.Dir != "" {
		if err := chdir(s.launch.Dir); err != nil {
			s.fail("change directory to "+s.launch.Dir, err)
		}
	}
}

// dispositions ignores what was ignored when fstrace was started, and gives every
// other signal its default effect: one that comes before the exec acts as it would
// on the command. The Go runtime's own handlers are not needed here any more, but
// for faults.
func (s *shim) dispositions() {
	for sig := 1; sig <= SignalCount; sig++ {
		handler := uintptr(SignalDefault)
		if s.launch.Signals.Ignored&(1<<(sig-1)) != 0 {
			handler = SignalIgnore
		}
		switch syscall.Signal(sig) {
		case syscall.SIGKILL, syscall.SIGSTOP:
			continue
		case syscall.SIGSEGV, syscall.SIGBUS, syscall.SIGFPE, syscall.SIGURG:
			if handler == SignalDefault { // exec resets handlers by itself
				continue
			}
		}
		SetSignalHandler(sig, handler)
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
	group, err := syscall.Getpgid(syscall.Getppid())
	if err != nil {
		return err
	}
	return syscall.Setpgid(0, group)
}

// handOver installs the filter and sends the listener. From then on each file call
// sleeps until the supervisor has it.
func (s *shim) handOver() {
	listener, errno := install(s.launch.Filter)
	var err error
	switch errno {
	case 0:
		err = SendDescriptors(s.socket, ReplyListener, listener)
	case syscall.EBUSY: // a filter has one listener at most above it
		err = WriteFull(s.socket, []byte{ReplyNested})
	default:
		s.fail(StepFilter, errno)
	}
	if err != nil {
		syscall.Exit(ExitFailed)
	}
}
