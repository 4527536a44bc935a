package tracer

import (
	"fmt"
	"slices"

	"github.com/fstrace/fstrace/tracer/internal/procfs"
	"github.com/fstrace/fstrace/tracer/internal/shim"
	"golang.org/x/sys/unix"
)

// closedFD, in a list of descriptors, means that the command does not get this number.
const closedFD = ^uintptr(0)

// descriptors returns the command's descriptors, by number. The shim's
// socket takes the next number, for which the command has no use.
func (c *Cmd) descriptors() ([]uintptr, error) {
	if c.InheritFiles {
		return inheritAll()
	}
	if c.Descriptors != nil {
		return c.numbered()
	}
	standard, err := c.streams.open(c.Stdin, c.Stdout, c.Stderr)
	if err != nil {
		return nil, fmt.Errorf("launch: %w", err)
	}
	var list []uintptr
	for i, f := range append(standard, c.ExtraFiles...) {
		fd := uintptr(0)
		if f != nil {
			fd = f.Fd()
		} else if fd, err = c.absent(i); err != nil {
			return nil, err
		}
		list = append(list, fd)
	}
	return list, nil
}

// absent returns the entry for a number that is not given: standard streams are
// /dev/null.
func (c *Cmd) absent(number int) (uintptr, error) {
	if number > 2 {
		return closedFD, nil
	}
	null, err := c.streams.openNull()
	if err != nil {
		return 0, fmt.Errorf("launch: %w", err)
	}
	return null.Fd(), nil
}

// numbered lists what Descriptors says.
func (c *Cmd) numbered() ([]uintptr, error) {
	highest := 2
	for number := range c.Descriptors {
		highest = max(highest, number)
	}
	list := make([]uintptr, highest+1)
	for number := range list {
		if fd, ok := c.Descriptors[number]; ok {
			list[number] = uintptr(fd)
			continue
		}
		var err error
		if list[number], err = c.absent(number); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// inheritAll passes on each descriptor that is not close-on-exec. Those above the
// socket's number need not be listed: exec keeps them.
func inheritAll() ([]uintptr, error) {
	kept, err := KeptDescriptors()
	if err != nil {
		return nil, fmt.Errorf("launch: list own descriptors: %w", err)
	}
	var list []uintptr
	for fd := 0; fd < 3 || slices.Contains(kept, fd); fd++ {
		if slices.Contains(kept, fd) {
			list = append(list, uintptr(fd))
		} else {
			list = append(list, closedFD)
		}
	}
	return list, nil
}

// KeptDescriptors returns the descriptors of this process that are not close-on-exec:
// those that Cmd.InheritFiles passes on. A program that passes them on may want to close
// its own after Start, so that a pipe ends when the command closes it.
func KeptDescriptors() ([]int, error) {
	fds, err := procfs.Numbers("/proc/self/fd")
	if err != nil {
		return nil, err
	}
	var kept []int
	for _, fd := range fds {
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err == nil && flags&unix.FD_CLOEXEC == 0 && !shim.StartedClosed(fd) { // EBADF: the one that listed them
			kept = append(kept, fd)
		}
	}
	return kept, nil
}
