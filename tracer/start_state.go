package tracer

import (
	"errors"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/tracer/internal/observe"
	"github.com/fstrace/fstrace/tracer/internal/procfs"
	"golang.org/x/sys/unix"
)

// startState returns what the command's process starts with, and an access for each
// regular file among its descriptors: no call names those (cmd < file). It is called
// while the shim waits.
func (s *session) startState(pid int) (*events.ProcessState, []observe.Access) {
	state := &events.ProcessState{Env: s.cmd.Env}
	st, err := procfs.ReadStatus(pid)
	if err != nil {
		s.missStart(pid, err)
		return nil, nil
	}
	const effective = 1
	state.UID, state.GID, state.Umask = uint32(st.UIDs[effective]), uint32(st.GIDs[effective]), uint32(st.Umask)
	if s.cmd.Umask != nil {
		state.Umask = uint32(*s.cmd.Umask)
	}
	var files []observe.Access
	if state.Descriptors, files, err = observe.Descriptors(pid); err != nil {
		s.missStart(pid, err)
		return nil, nil
	}
	return state, files
}

// missStart notes that it is not known what the command's process starts with. One that
// has been killed meanwhile starts with nothing.
func (s *session) missStart(pid int, err error) {
	if !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ESRCH) {
		s.incomplete.add(events.ReasonOpaqueProcess, pid, "what it starts with may not be read: "+err.Error())
	}
}
