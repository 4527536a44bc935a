package tracer

import (
	"errors"
	"time"

	"github.com/fstrace/fstrace/tracer/internal/procfs"
)

// stuckFor is how long a session waits for descendants that cannot be detached because
// they are in a call that no signal ends: a request to a FUSE server that does not
// answer, say. ptrace can detach only what has stopped.
const stuckFor = 5 * time.Second

// errStuck: all tracees that are left are in such a call.
var errStuck = errors.New("tracees do not stop")

// A releaser is a waiter that waits for tracees to stop, but not for those that cannot.
type releaser struct {
	waiter
	tasks map[int]*task
	state func(tid int) byte // as procfs.State
	since time.Time          // since when all have been in such a call; zero if they are not
}

// wait implements waiter. wait4 has no timeout: it is called again and again.
func (r *releaser) wait(block bool) (waitEvent, bool, error) {
	const longest = 20 * time.Millisecond
	for pause := 100 * time.Microsecond; ; pause = min(2*pause, longest) {
		e, ok, err := r.waiter.wait(false)
		if ok || err != nil || !block {
			return e, ok, err
		}
		if r.stuck(time.Now()) {
			return waitEvent{}, false, errStuck
		}
		time.Sleep(pause)
	}
}

// stuck reports whether no tracee can be expected to stop.
func (r *releaser) stuck(now time.Time) bool {
	for tid := range r.tasks {
		if r.state(tid) != 'D' {
			r.since = time.Time{}
			return false
		}
	}
	if r.since.IsZero() {
		r.since = now
	}
	return now.Sub(r.since) > stuckFor
}

// abandon gives up those tracees. They are killed with the tracer thread: by
// PTRACE_O_EXITKILL, as soon as their call ends.
func (f *follower) abandon() (stuck []*process) {
	for tid, t := range f.tasks {
		if tid == t.proc.pid {
			stuck = append(stuck, t.proc)
		}
		f.forgetDetached(tid)
	}
	return stuck
}

func newReleaser(k linux, f *follower) *releaser {
	return &releaser{waiter: k, tasks: f.tasks, state: procfs.State}
}
