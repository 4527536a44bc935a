package tracer

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// A Limit is a resource limit: setrlimit(2).
type Limit struct {
	// Resource is a constant such as unix.RLIMIT_NOFILE.
	Resource int
	// Soft and Hard are the limits. unix.RLIM_INFINITY means no limit.
	Soft, Hard uint64
}

// limit sets what the command is to start with. Its process waits for the go-ahead
// meanwhile, with nothing left to do but the exec.
func (c *Cmd) limit(pid int) error {
	if c.Adopt != nil {
		return nil
	}
	for _, l := range c.Limits {
		if err := unix.Prlimit(pid, l.Resource, &unix.Rlimit{Cur: l.Soft, Max: l.Hard}, nil); err != nil {
			return fmt.Errorf("set the command's resource limit %d to %d, %d: %w", l.Resource, l.Soft, l.Hard, err)
		}
	}
	if c.Nice != nil {
		if err := unix.Setpriority(unix.PRIO_PROCESS, pid, *c.Nice); err != nil {
			return fmt.Errorf("set the command's nice value to %d: %w", *c.Nice, err)
		}
	}
	return nil
}
