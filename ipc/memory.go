package ipc

import (
	"os"
	"time"

	"github.com/fstrace/fstrace/tracer"
	"golang.org/x/sys/unix"
)

// What a session has in memory as long as it runs or is kept is accounted for: a command
// may have megabytes of arguments and environment. The budget is as large as the gate's,
// but no call waits for it, since it is not known when a session ends.

// memoryOf returns how much memory lists of strings take, about: for themselves, and in
// the line of the record that has them.
func memoryOf(lists ...[]string) (n int64) {
	for _, list := range lists {
		for _, s := range list {
			n += 32 + 2*int64(len(s))
		}
	}
	return n
}

// takeMemory accounts for what a session is going to have in memory. Sessions that have
// ended make room.
func (s *session) takeMemory(size int64) error {
	b := s.server.memory
	for !b.Take(size) {
		if !b.evict() {
			return newError(ErrTooMuchMemory, "limit", b.Limit)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.memory = size
	return nil
}

// keepMemory gives back what is more than size.
func (s *session) keepMemory(size int64) {
	s.mu.Lock()
	over := max(0, s.memory-size)
	s.memory -= over
	s.mu.Unlock()
	s.server.memory.Give(over)
}

// command returns the session's command.
func (s *session) command() command {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cmd
}

// An endedCommand stands for a command that has ended: the tracer's own has all that it
// knew of the processes.
type endedCommand struct{ pid int }

func (endedCommand) Start() error                  { return os.ErrProcessDone }
func (endedCommand) Wait() error                   { return os.ErrProcessDone }
func (endedCommand) Result() *tracer.Result        { return nil }
func (endedCommand) Signal(unix.Signal) error      { return os.ErrProcessDone }
func (endedCommand) SignalGroup(unix.Signal) error { return os.ErrProcessDone }
func (endedCommand) Cancel(time.Duration)          {}
func (c endedCommand) Pid() int                    { return c.pid }

// listedBytes is how much of a command's arguments a list of sessions has.
const listedBytes = 4096

// cutList returns the first strings of a list, at least one, and whether there are more.
func cutList(list []string) (first []string, cut bool) {
	size := 0
	for i, s := range list {
		if size += len(s); size > listedBytes && i > 0 {
			return list[:i], true
		}
	}
	return list, false
}
