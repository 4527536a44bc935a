package tracer

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// An exitWatch reports the ends of processes that are neither tracees nor children
// of this one, by their pidfds, which become readable then (Linux 5.3). Few sessions
// have any: what it needs is made for the first one. It is for one goroutine.
type exitWatch struct {
	report func(number int32)
	epoll  int
	bell   int           // an eventfd that ends the goroutine
	done   chan struct{} // nil before the first process
}

// newExitWatch returns a watch that calls report with the number that a pidfd was
// added with, from a goroutine of its own.
func newExitWatch(report func(number int32)) *exitWatch { return &exitWatch{report: report} }

// start makes what it takes to watch.
func (w *exitWatch) start() (err error) {
	if w.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return fmt.Errorf("watch processes: epoll: %w", err)
	}
	if w.bell, err = unix.Eventfd(0, unix.EFD_CLOEXEC); err != nil {
		unix.Close(w.epoll)
		return fmt.Errorf("watch processes: eventfd: %w", err)
	}
	if err := w.register(w.bell, watchBell); err != nil {
		unix.Close(w.epoll)
		unix.Close(w.bell)
		return err
	}
	w.done = make(chan struct{})
	go w.run()
	return nil
}

// watchBell is the number of the watch's own eventfd; processes have others.
const watchBell = -1

// add begins to watch a pidfd. It is reported once.
func (w *exitWatch) add(fd int, number int32) error {
	if w.done == nil {
		if err := w.start(); err != nil {
			return err
		}
	}
	return w.register(fd, number)
}

func (w *exitWatch) register(fd int, number int32) error {
	e := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLONESHOT, Fd: number}
	if err := unix.EpollCtl(w.epoll, unix.EPOLL_CTL_ADD, fd, &e); err != nil {
		return fmt.Errorf("watch processes: %w", err)
	}
	return nil
}

func (w *exitWatch) run() {
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
			w.report(e.Fd)
		}
	}
}

// close ends the watch and waits for its goroutine.
func (w *exitWatch) close() {
	if w.done == nil {
		return
	}
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
