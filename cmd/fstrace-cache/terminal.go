package main

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// An outlet is the command's standard output or standard error, where that is a terminal:
// the command writes to a terminal of its own, so that it does what it would do, and what
// it wrote can be kept.
type outlet struct {
	master, slave *os.File
}

// terminalKey says of what terminals the command's output would be, "" if of none.
func terminalKey() string {
	var words []string
	for fd, name := range map[int]string{1: "stdout", 2: "stderr"} {
		if size, err := unix.IoctlGetWinsize(fd, unix.TIOCGWINSZ); err == nil && isTerminal(fd) {
			words = append(words, fmt.Sprintf("%s %dx%d", name, size.Col, size.Row))
		}
	}
	if len(words) == 2 && words[0] > words[1] {
		words[0], words[1] = words[1], words[0]
	}
	return strings.Join(words, ", ")
}

func isTerminal(fd int) bool {
	_, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	return err == nil
}

// isMerged reports whether standard output and standard error are one file.
func isMerged() bool {
	var out, err unix.Stat_t
	return unix.Fstat(1, &out) == nil && unix.Fstat(2, &err) == nil && out.Dev == err.Dev && out.Ino == err.Ino && out.Rdev == err.Rdev
}

// newOutlet makes a terminal of the size of fd. It does not change what is written: the
// caller's terminal does that.
func newOutlet(fd int) (*outlet, error) {
	master, slave, err := pty.Open()
	if err != nil {
		return nil, fmt.Errorf("open a terminal for the command: %w", err)
	}
	x := &outlet{master, slave}
	mode, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
	if err == nil {
		mode.Oflag &^= unix.OPOST
		err = unix.IoctlSetTermios(int(slave.Fd()), unix.TCSETS, mode)
	}
	if err == nil {
		err = x.resize(fd)
	}
	if err != nil {
		x.close()
		return nil, fmt.Errorf("set up a terminal for the command: %w", err)
	}
	return x, nil
}

func (x *outlet) resize(fd int) error {
	size, err := unix.IoctlGetWinsize(fd, unix.TIOCGWINSZ)
	if err != nil {
		return err
	}
	return unix.IoctlSetWinsize(int(x.master.Fd()), unix.TIOCSWINSZ, size)
}

func (x *outlet) close() {
	_ = x.slave.Close()
	_ = x.master.Close()
}

// outlets are the terminals of a command.
type outlets struct {
	list   []*outlet
	copies sync.WaitGroup
	resize chan os.Signal
}

// add returns what the command gets as one of its outputs: to itself, or a terminal from
// which everything is copied to it.
func (o *outlets) add(fd int, to io.Writer) (io.Writer, error) {
	if !isTerminal(fd) {
		return to, nil
	}
	x, err := newOutlet(fd)
	if err != nil {
		return nil, err
	}
	o.list = append(o.list, x)
	o.copies.Go(func() {
		_, _ = io.Copy(to, x.master) // ends with EIO once nobody has the other end
	})
	if o.resize == nil {
		o.resize = make(chan os.Signal, 1)
		signal.Notify(o.resize, unix.SIGWINCH)
		go func() {
			for range o.resize {
				_ = x.resize(fd)
			}
		}()
	}
	return x.slave, nil
}

// end waits until everything is copied. The command has ended.
func (o *outlets) end() {
	for _, x := range o.list {
		_ = x.slave.Close()
	}
	o.copies.Wait()
	for _, x := range o.list {
		_ = x.master.Close()
	}
	if o.resize != nil {
		signal.Stop(o.resize)
		close(o.resize)
	}
}
