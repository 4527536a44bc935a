package tracer

import (
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// A pidfd is a handle on a process: pidfd_open(2), Linux 5.3. Unlike its number
// it never comes to mean another process. The zero pidfd has none yet. It is safe
// for concurrent use.
type pidfd struct {
	mu   sync.Mutex
	fd   int
	open bool
}

func (p *pidfd) set(fd int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fd, p.open = fd, true
}

// signal sends a signal, or returns os.ErrProcessDone.
func (p *pidfd) signal(sig unix.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.open {
		return os.ErrProcessDone
	}
	switch err := unix.PidfdSendSignal(p.fd, sig, nil, 0); err {
	case nil:
		return nil
	case unix.ESRCH:
		return os.ErrProcessDone
	default:
		return fmt.Errorf("send %s to the command: %w", signalName(sig), err)
	}
}

func (p *pidfd) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open {
		unix.Close(p.fd)
		p.open = false
	}
}
