package ipc

import (
	"fmt"

	"github.com/fstrace/fstrace/tracer"
	"golang.org/x/sys/unix"
)

// A ResourceLimit is a resource limit that a command starts with: setrlimit(2). Resource
// is the name in lower case without prefix, as "nofile". -1 means no limit.
type ResourceLimit struct {
	Resource string `json:"resource"`
	Soft     int64  `json:"soft"`
	Hard     int64  `json:"hard"`
}

// resources are those of setrlimit(2), by their names there in small letters.
var resources = map[string]int{
	"as": unix.RLIMIT_AS, "core": unix.RLIMIT_CORE, "cpu": unix.RLIMIT_CPU, "data": unix.RLIMIT_DATA,
	"fsize": unix.RLIMIT_FSIZE, "locks": unix.RLIMIT_LOCKS, "memlock": unix.RLIMIT_MEMLOCK, "msgqueue": unix.RLIMIT_MSGQUEUE,
	"nice": unix.RLIMIT_NICE, "nofile": unix.RLIMIT_NOFILE, "nproc": unix.RLIMIT_NPROC, "rss": unix.RLIMIT_RSS,
	"rtprio": unix.RLIMIT_RTPRIO, "rttime": unix.RLIMIT_RTTIME, "sigpending": unix.RLIMIT_SIGPENDING, "stack": unix.RLIMIT_STACK,
}

// limits checks the limits and the nice value that a command is to have.
func (p *wireRun) limits(c *tracer.Cmd) error {
	switch {
	case p.Launched != nil && p.Limits != nil:
		return invalidParameter("limits") // its process has the caller's
	case p.Launched != nil && p.Nice != nil, p.Nice != nil && (*p.Nice < -20 || *p.Nice > 19):
		return invalidParameter("nice")
	}
	seen := make(map[string]bool)
	for i, l := range p.Limits {
		resource, ok := resources[l.Resource]
		if !ok || seen[l.Resource] || l.Soft < -1 || l.Hard < -1 {
			return invalidParameter(fmt.Sprintf("limits[%d]", i))
		}
		seen[l.Resource] = true
		c.Limits = append(c.Limits, tracer.Limit{Resource: resource, Soft: uint64(l.Soft), Hard: uint64(l.Hard)})
	}
	c.Nice = p.Nice
	return nil
}

// A Usage is the resource usage of a command and of the descendants that it has waited
// for: getrusage(2). Times are in microseconds.
type Usage struct {
	UserMicros          int64 `json:"userMicros"`
	SystemMicros        int64 `json:"systemMicros"`
	MaxRSSBytes         int64 `json:"maxRssBytes"`
	MinorFaults         int64 `json:"minorFaults"`
	MajorFaults         int64 `json:"majorFaults"`
	BlocksRead          int64 `json:"blocksRead"` // of 512 bytes
	BlocksWritten       int64 `json:"blocksWritten"`
	VoluntarySwitches   int64 `json:"voluntarySwitches"`
	InvoluntarySwitches int64 `json:"involuntarySwitches"`
}

// usageOf returns nil if the use is not known.
func usageOf(u *unix.Rusage) *Usage {
	if u == nil {
		return nil
	}
	const micro = 1000
	return &Usage{
		UserMicros: u.Utime.Nano() / micro, SystemMicros: u.Stime.Nano() / micro, MaxRSSBytes: u.Maxrss << 10,
		MinorFaults: u.Minflt, MajorFaults: u.Majflt, BlocksRead: u.Inblock, BlocksWritten: u.Oublock,
		VoluntarySwitches: u.Nvcsw, InvoluntarySwitches: u.Nivcsw,
	}
}
