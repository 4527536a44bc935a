package tracer

import (
	"os"
	"strconv"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/tracer/internal/procfs"
	"golang.org/x/sys/unix"
)

// findUnseen looks for processes of an inner fstrace's command that live and have made no
// file call yet, so that nobody has told of them: without ptrace. Those whose parents are
// known begin to be. An orphan may be the command's if it has a filter, is younger than
// the command, was taken in where orphans of the session are, and has no image: those of
// the session's programs are known. It returns how many have begun to be.
func (in *inner) findUnseen() (found int) {
	proc, err := os.Open("/proc")
	if err != nil {
		in.gap(events.ReasonUntraced, 0, err.Error())
		return 0
	}
	defer proc.Close()
	names, err := proc.Readdirnames(-1)
	if err != nil {
		in.gap(events.ReasonUntraced, 0, err.Error())
		return 0
	}
	r, above := in.session.receiver, ancestors()
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if p, _ := r.registry.find(pid); p != nil || procfs.Began(pid) < in.begin {
			continue
		}
		st, err := procfs.ReadStatus(pid)
		if err != nil || !st.Filtered || st.Zombie {
			continue
		}
		parent, _ := r.registry.find(st.PPID)
		switch f, known := r.familyOf(pid, st.PPID); {
		case f.isIn(in):
			r.mu.Lock()
			p, _ := r.processOf(pid)
			r.mu.Unlock()
			if p != nil {
				found++
			}
		case !known && in.isBelow(f) && (parent != nil || above[st.PPID]):
			if _, ok := procfs.Image(pid); ok || !procfs.HasMemory(pid) {
				continue // not the session's, or about to end without a file call
			}
			in.gap(events.ReasonUntraced, pid, "it has made no file call yet, and it is not known which process has started it")
		}
	}
	return found
}

// ancestors are the processes above this one.
func ancestors() map[int]bool {
	above := make(map[int]bool)
	for pid := unix.Getpid(); pid > 0 && !above[pid]; {
		above[pid] = true
		st, err := procfs.ReadStatus(pid)
		if err != nil {
			break
		}
		pid = st.PPID
	}
	return above
}
