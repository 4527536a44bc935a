package manifest

import "github.com/fstrace/fstrace/events"

// patterns choose paths as [events.Filter] chooses accesses; nil chooses all. They
// cannot be put before a Recorder: it would not learn of changes to files that it
// is not to report, and take what the command made itself for an input.
type patterns struct {
	filter events.Sink
	passed bool
}

func newPatterns(only, ignore []string) (*patterns, error) {
	if len(only)+len(ignore) == 0 {
		return nil, nil
	}
	p := &patterns{}
	var err error
	p.filter, err = events.Filter((*passing)(p), only, ignore)
	return p, err
}

// reports reports whether path is chosen. It is not for several at once.
func (p *patterns) reports(path string) bool {
	if p == nil {
		return true
	}
	p.passed = false
	_ = p.filter.Event(&events.Event{Op: events.OpStat, Syscall: "stat", Path: path}) // passing returns none
	return p.passed
}

// passing is the sink behind the filter.
type passing patterns

func (p *passing) Begin(*events.Header) error { return nil }
func (p *passing) End(*events.Trailer) error  { return nil }
func (p *passing) Event(*events.Event) error {
	p.passed = true
	return nil
}
