// Package summary counts what a record says: how long a command ran, how many processes
// it had, how many files they read and wrote, and how many paths they did not find.
package summary

import (
	"cmp"
	"slices"
	"time"

	"github.com/fstrace/fstrace/events"
)

// A Summary is an [events.Sink] that counts. Its fields and lists are final after End.
// Without KeepPaths it keeps 8 bytes for each path.
type Summary struct {
	// KeepPaths has to be set before Begin if MostRead and MostMissed are wanted: each
	// path is kept then, once.
	KeepPaths bool

	Argv       []string
	Exit       events.Exit
	Incomplete []events.Incomplete // empty if the record is complete
	Counts     events.Counts
	// IsCutOff means that the record has no trailer: Exit and Incomplete are not known.
	IsCutOff bool

	// Duration is the time from the first event to the end. It is 0 for a record without
	// events.
	Duration time.Duration
	// Processes is how many processes the record has, AtOnce how many of them existed at
	// the same time at most.
	Processes, AtOnce int
	// FilesRead and FilesWritten are how many regular files were opened for reading or
	// executed, and how many paths were opened for writing, made, removed or renamed.
	FilesRead, FilesWritten int
	// Missed is how many accesses needed something that was absent, MissedPaths how many
	// paths these had. An open that makes a file is not among them.
	Missed, MissedPaths int

	first   time.Time
	last    time.Time
	read    tally
	missed  tally
	written tally
	living  map[int]*Process
	ended   []*Process
}

// A Process is one process of a record.
type Process struct {
	PID      int
	Argv     []string // of the last program that it ran
	Duration time.Duration
	start    time.Time
}

// A PathCount is how often a path was accessed.
type PathCount struct {
	Path  string
	Count int
}

// kept is how many ended processes are kept for Slowest.
const kept = 1000

// Begin begins the summary of a record.
func (s *Summary) Begin(h *events.Header) error {
	s.Argv = slices.Clone(h.Argv)
	s.living = make(map[int]*Process)
	for _, t := range []*tally{&s.read, &s.missed, &s.written} {
		t.begin(s.KeepPaths && t != &s.written)
	}
	return nil
}

// Event counts an event.
func (s *Summary) Event(e *events.Event) error {
	s.Counts.Add(e)
	if s.first.IsZero() {
		s.first = e.Time
	}
	s.last = e.Time
	switch e.Op {
	case events.OpStart:
		s.Processes++
		s.living[e.PID] = &Process{PID: e.PID, Argv: slices.Clone(e.Argv), start: e.Time}
		s.AtOnce = max(s.AtOnce, len(s.living))
	case events.OpExit:
		s.end(e.PID, e.Time)
	case events.OpExec:
		if p := s.living[e.PID]; p != nil && e.IsProcess() {
			p.Argv = slices.Clone(e.Argv)
		}
	}
	if e.IsProcess() || e.Path == "" {
		return nil
	}
	switch e.Op {
	case events.OpWrite, events.OpCreate, events.OpDelete:
		s.written.add(e.Path)
	case events.OpRename:
		s.written.add(e.Path)
		s.written.add(e.To)
	case events.OpRead, events.OpExec:
		if e.State == events.StateFile {
			s.read.add(e.Path)
		}
	}
	if e.State == events.StateAbsent && e.Op != events.OpWrite && e.Op != events.OpCreate {
		s.Missed++
		s.missed.add(e.Path)
	}
	return nil
}

// end ends a process.
func (s *Summary) end(pid int, at time.Time) {
	p := s.living[pid]
	if p == nil {
		return
	}
	delete(s.living, pid)
	p.Duration = at.Sub(p.start)
	if s.ended = append(s.ended, p); len(s.ended) >= 2*kept {
		s.ended = slowest(s.ended, kept)
	}
}

// End ends the summary.
func (s *Summary) End(t *events.Trailer) error {
	for pid := range s.living {
		s.end(pid, t.End)
	}
	s.Exit, s.Incomplete = t.Exit, slices.Clone(t.Incomplete)
	if !s.first.IsZero() {
		s.Duration = t.End.Sub(s.first)
	}
	s.FilesRead, s.FilesWritten, s.MissedPaths = len(s.read.counts), len(s.written.counts), len(s.missed.counts)
	return nil
}

// CutOff ends the summary of a record that has no trailer.
func (s *Summary) CutOff() {
	_ = s.End(&events.Trailer{End: s.last})
	s.IsCutOff = true
}

// MostRead returns the n files that were opened for reading or executed most often.
func (s *Summary) MostRead(n int) []PathCount { return s.read.most(n) }

// MostMissed returns the n paths that were not found most often.
func (s *Summary) MostMissed(n int) []PathCount { return s.missed.most(n) }

// Slowest returns the n processes that existed longest, at most 1,000.
func (s *Summary) Slowest(n int) []*Process { return slowest(slices.Clone(s.ended), n) }

func slowest(list []*Process, n int) []*Process {
	slices.SortStableFunc(list, func(a, b *Process) int {
		return cmp.Or(cmp.Compare(b.Duration, a.Duration), a.start.Compare(b.start))
	})
	return list[:min(n, len(list))]
}
