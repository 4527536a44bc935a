package observe

import (
	"time"

	"github.com/fstrace/fstrace/tracer/internal/procfs"
	"github.com/fstrace/fstrace/tracer/internal/resolve"
	"golang.org/x/sys/unix"
)

// A WorkDir remembers the working directory of a process: to read it costs about as much
// as everything else that is done for a call. It is for the receiver alone.
//
// Threads of a process have one, as a rule, and processes do not share theirs:
// clone(2), CLONE_FS. Where that is otherwise, or cannot be found out, nothing is
// remembered.
type WorkDir struct {
	place procfs.Place
	at    time.Time // when it was read; zero if it is not known
	moves uint      // the observer's, then
	// changing are the threads that have called chdir: it has taken effect for
	// certain when the thread makes its next call.
	changing []int
	sharing  sharing
	alike    map[int]struct{} // threads, beside the leader, that are known to share it
}

// maxAlike bounds the memory of threads.
const maxAlike = 1 << 10

type sharing uint8

const (
	sharingUnknown sharing = iota
	sharedByThreads
	sharedOtherwise // with another process, or not by all threads
)

// cwd returns the working directory of a caller.
func (o *Observer) cwd(c *Call) (procfs.Place, error) {
	w := c.Dir
	if !c.Followed || o.resolver.RootsVary || !o.isPlain(c) {
		return o.procfs.Cwd(c.TID)
	}
	w.returned(c.TID)
	settled := len(w.changing) == 0
	if settled && !w.at.IsZero() && w.moves == o.resolver.Moves && o.resolver.Now.Sub(w.at) <= resolve.MaxAge {
		return w.place, nil
	}
	p, err := o.procfs.Cwd(c.TID)
	if err != nil || !settled || p.Gone || !o.resolver.StaysAt(p.Path) {
		w.at = time.Time{}
		return p, err
	}
	if p.Path == w.place.Path {
		p.Path = w.place.Path // one string for all
	}
	w.place, w.at, w.moves = p, o.resolver.Now, o.resolver.Moves
	return p, nil
}

// changesDir is called for a call that is about to change the caller's directory.
func (o *Observer) changesDir(c *Call) {
	w := c.Dir
	o.isPlain(c) // marks a process that shares it
	w.at = time.Time{}
	w.returned(c.TID)
	w.changing = append(w.changing, c.TID)
}

// returned takes a thread off the list of those that are changing the directory.
func (w *WorkDir) returned(tid int) {
	for i, t := range w.changing {
		if t == tid {
			w.changing = append(w.changing[:i], w.changing[i+1:]...)
			return
		}
	}
}

// isPlain reports whether the caller has its working directory together with the threads
// of its process, and with no other.
func (o *Observer) isPlain(c *Call) bool {
	w := c.Dir
	if w.sharing == sharingUnknown {
		w.sharing = sharedByThreads
		if parent := o.processes.WorkDir(c.PPID); parent == nil && c.PPID != unix.Getpid() {
			w.sharing = sharedOtherwise // with whom? it is too late to ask
		} else if sharesDir(c.PID, c.PPID) != no {
			w.sharing = sharedOtherwise
			if parent != nil {
				parent.sharing = sharedOtherwise
			}
		}
	}
	if c.TID == c.PID || w.sharing == sharedOtherwise {
		return w.sharing == sharedByThreads
	}
	if _, ok := w.alike[c.TID]; ok {
		return true
	}
	if sharesDir(c.TID, c.PID) != yes {
		w.sharing = sharedOtherwise
		return false
	}
	if w.alike == nil || len(w.alike) >= maxAlike { // most have ended
		w.alike = make(map[int]struct{})
	}
	w.alike[c.TID] = struct{}{}
	return true
}

type answer uint8

const (
	unknown answer = iota
	yes
	no
)

// sharesDir reports whether two threads have one working directory: kcmp(2), Linux 3.5,
// where the kernel has it.
func sharesDir(a, b int) answer {
	const kcmpFS = 3
	order, _, errno := unix.RawSyscall6(unix.SYS_KCMP, uintptr(a), uintptr(b), kcmpFS, 0, 0, 0)
	switch {
	case errno != 0:
		return unknown
	case order == 0:
		return yes
	}
	return no
}
