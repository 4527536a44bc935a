package tracer

import "golang.org/x/sys/unix"

// fewTasks is up to how many threads are followed while the kernel is asked for the use
// of resources at each stop. It adds up all threads of a process each time, which would
// be slow if they were many.
const fewTasks = 64

// A rootUsage learns what the command has used, when it ends.
type rootUsage struct {
	pid   int
	tasks func() int

	read  unix.Rusage
	asked bool
	// ended is what the command had used in the end, with those of its descendants that
	// it has waited for. Nil if that is not known.
	ended *unix.Rusage
}

// ask returns what wait4(2) is to fill in.
func (u *rootUsage) ask() *unix.Rusage {
	if u == nil {
		return nil
	}
	if u.asked = u.tasks() <= fewTasks; !u.asked {
		return nil
	}
	return &u.read
}

// note is called for each event.
func (u *rootUsage) note(tid int, ws unix.WaitStatus) {
	if u == nil || !u.asked || tid != u.pid || !ws.Exited() && !ws.Signaled() {
		return
	}
	read := u.read
	u.ended = &read
}
