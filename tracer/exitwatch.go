package tracer

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// An exitWatch reports the ends of processes that are neither tracees nor children
// of this one, by their pidfds, which become readable then (Linux 5.3).
type exitWatch struct {
	epoll int
	bell  int // an eventfd that ends the goroutine
	done  chan struct{}
}

// newExitWatch starts a watch, which calls report with the number that a pidfd was
// added with, from a goroutine of its own.
func newExitWatch(report func(id int32)) (*exitWatch, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("watch processes: epoll: %w", err)
	}
	bell, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		unix.Close(epoll)
		return nil, fmt.Errorf("watch processes: eventfd: %w", err)
	}
	w := &exitWatch{epoll: epoll, bell: bell, done: make(chan struct{})}
	if err := w.add(bell, watchBell); err != nil {
		unix.Close(epoll)
		unix.Close(bell)
		return nil, err
	}
	go w.run(report)
	return w, nil
}

// watchBell is the number of the watch's own eventfd; processes have others.
const watchBell = -1

// add begins to watch a pidfd. It is reported once.
func (w *exitWatch) add(fd int, id int32) error {
	e := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLONESHOT, Fd: id}
	if err := unix.EpollCtl(w.epoll, unix.EPOLL_CTL_ADD, fd, &e); err != nil {
		return fmt.Errorf("watch processes: %w", err)
	}
	return nil
}

func (w *exitWatch) run(report func(id int32)) {
	defer close(w.done)
	var batch [32]unix.EpollEvent
	for {
		n, err := unix.EpollWait(w.epoll, batch[:], -1)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return // the descriptor is gone: nothing can be watched
		}
		for _, e := range batch[:n] {
			if e.Fd == watchBell {
				return
			}
			report(e.Fd)
		}
	}
}

// close ends the watch and waits for its goroutine.
func (w *exitWatch) close() {
	one := [8]byte{1, 0, 0, 0, 0, 0, 0, 1} // not 0 in either byte order
	for {
		if _, err := unix.Write(w.bell, one[:]); err != unix.EINTR {
			break
		}
	}
	<-w.done
	unix.Close(w.bell)
	unix.Close(w.epoll)
}
