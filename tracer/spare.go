package tracer

import (
	"slices"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// A Spare starts the process of the next command ahead of need, so that Start takes less
// time: the process is there, and waits for what to run. It is this program's child,
// named fstrace-shim, and has no descriptor but its socket.
//
// It serves commands with Setsid and Descriptors, if these are 0 to at most 9 without a
// gap. Others start as without it. The zero Spare is ready to use, by several commands at
// once (Cmd.Spare). The first process is started after the first command. Close ends the
// one that waits.
//
// The process has what this program had when the process was started: user, limits,
// namespaces, cgroup. A program that changes these must use a new Spare then.
type Spare struct {
	mu       sync.Mutex
	ready    *prestarted
	starting bool
	closed   bool
}

// A prestarted process is a shim that waits for what to run.
type prestarted struct {
	pid, pidfd int
	control    int         // the supervisor's end of the shim's socket
	run        chan func() // runs on the thread whose child the process is; nil to end the process
	ended      chan struct{}
}

// spareSocket is the number of the shim's socket in a prestarted process: the descriptors
// of its command must be below.
const spareSocket = 10

// serves reports whether a prestarted process can become a command with such descriptors.
func (s *Spare) serves(c *Cmd, files []uintptr) bool {
	return s != nil && c.Setsid && c.Descriptors != nil && c.Adopt == nil && !c.InheritFiles &&
		len(files) <= spareSocket && !slices.Contains(files, closedFD)
}

// take returns the process that waits, nil if there is none.
func (s *Spare) take() *prestarted {
	s.mu.Lock()
	p := s.ready
	s.ready = nil
	s.mu.Unlock()
	if p != nil && endsWithin(p.pidfd, 0) { // somebody has killed it
		p.run <- nil
		return nil
	}
	return p
}

// fill starts a process, if none waits.
func (s *Spare) fill() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.starting || s.ready != nil {
		return
	}
	s.starting = true
	tracerThread(s.start)
}

// start starts a process on a thread that is to trace it, and keeps it until it is
// needed.
func (s *Spare) start() {
	p, err := prestart()
	s.mu.Lock()
	s.starting = false
	keep := err == nil && !s.closed
	if keep {
		s.ready = p
	}
	s.mu.Unlock()
	switch {
	case err != nil: // a command's own start will say why
	case keep:
		if run := <-p.run; run != nil {
			run()
			return
		}
		p.end()
	default:
		p.end()
	}
}

// Close ends the process that waits, and starts no more.
func (s *Spare) Close() {
	s.mu.Lock()
	s.closed = true
	p := s.ready
	s.ready = nil
	s.mu.Unlock()
	if p != nil {
		p.run <- nil
		<-p.ended
	}
}

// prestart starts a process, as the calling thread's child.
func prestart() (*prestarted, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	files := append(slices.Repeat([]uintptr{closedFD}, spareSocket), uintptr(pair[1]))
	pid, pidfd, err := forkShim(files, &syscall.SysProcAttr{Setsid: true})
	unix.Close(pair[1])
	if err != nil {
		unix.Close(pair[0])
		return nil, err
	}
	return &prestarted{pid: pid, pidfd: pidfd, control: pair[0], run: make(chan func(), 1), ended: make(chan struct{})}, nil
}

// end ends a process that was not needed, on the thread whose child it is.
func (p *prestarted) end() {
	_ = sendSignal(p.pidfd, unix.SIGKILL) // the only error is that it has ended
	unix.Close(p.control)
	unix.Close(p.pidfd)
	waitFor(p.pid, 0)
	close(p.ended)
}
