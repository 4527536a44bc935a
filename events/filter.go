package events

import "fmt"

// filter is a [Sink] that passes on the events to be reported.
type filter struct {
	next         Sink
	only, ignore []*glob
}

// Filter returns a sink that passes a record on to next, without the accesses that only
// and ignore exclude. Events keep their Seq, so gaps in Seq show excluded events, and the
// trailer counts them. Events of processes are always passed on.
//
// An access is passed on if a pattern of only matches one of its paths (Path, To or
// Real), or if only is empty. It is excluded if patterns of ignore match all of its
// paths. docs/text.md describes the patterns. Filter returns an error if one is
// malformed.
func Filter(next Sink, only, ignore []string) (Sink, error) {
	if len(only)+len(ignore) == 0 {
		return next, nil
	}
	f := &filter{next: next}
	var err error
	if f.only, err = parseGlobs("only", only); err != nil {
		return nil, err
	}
	if f.ignore, err = parseGlobs("ignore", ignore); err != nil {
		return nil, err
	}
	return f, nil
}

func parseGlobs(what string, patterns []string) ([]*glob, error) {
	globs := make([]*glob, len(patterns))
	for i, p := range patterns {
		g, err := parseGlob(p)
		if err != nil {
			return nil, fmt.Errorf("%s %q: %w", what, p, err)
		}
		globs[i] = g
	}
	return globs, nil
}

func (f *filter) Begin(h *Header) error { return f.next.Begin(h) }

func (f *filter) End(t *Trailer) error { return f.next.End(t) }

func (f *filter) Event(e *Event) error {
	if !e.IsProcess() && !f.reports(e) {
		return nil
	}
	return f.next.Event(e)
}

func (f *filter) reports(e *Event) bool {
	var some, wanted, shown bool
	for _, path := range [...]string{e.Path, e.To, e.Real} {
		if path == "" {
			continue
		}
		some = true
		wanted = wanted || len(f.only) == 0 || matchAny(f.only, path)
		shown = shown || !matchAny(f.ignore, path)
	}
	return wanted && shown || !some // what has no name cannot be hidden by name
}

func matchAny(globs []*glob, path string) bool {
	for _, g := range globs {
		if g.match(path) {
			return true
		}
	}
	return false
}
