package ipc

import (
	"bytes"
	"io"
	"time"

	"github.com/fstrace/fstrace/events"
)

// A view is what a client wants of a session's events, and how it wants them.
type view struct {
	from    uint64
	only    []string
	ignore  []string
	batch   int           // about how many bytes a reply has
	latency time.Duration // how long events may wait for others
}

const (
	// batchSize is how much of a record a reply has, about, if the client does not say.
	batchSize = 128 << 10
	// smallestBatch and largestBatch are what it can say.
	smallestBatch, largestBatch = 1 << 10, 4 << 20
	// longestLatency is the most that it can say.
	longestLatency = time.Minute
)

// newView checks what a client asks for. The names of its parameters begin with prefix.
func newView(from uint64, only, ignore []string, batch *int, latencyMs int64, prefix string) (*view, error) {
	v := &view{from: from, only: only, ignore: ignore, batch: batchSize, latency: time.Duration(latencyMs) * time.Millisecond}
	if batch != nil {
		v.batch = *batch
	}
	switch {
	case v.batch < smallestBatch || v.batch > largestBatch:
		return nil, invalidParameter(prefix + "batchBytes")
	case latencyMs < 0 || latencyMs > longestLatency.Milliseconds():
		return nil, invalidParameter(prefix + "latencyMs")
	case !validPatterns(only, nil):
		return nil, invalidParameter(prefix + "only")
	case !validPatterns(nil, ignore):
		return nil, invalidParameter(prefix + "ignore")
	}
	return v, nil
}

// reserve accounts for the buffers of a view whose replies are larger than usual. A
// client that does not read keeps them. What is reserved is given back with the answer.
func (r *request) reserve(v *view) error {
	n := 2 * int64(max(0, v.batch-batchSize))
	if !r.server.memory.Take(n) {
		return newError(ErrTooMuchMemory, "limit", r.server.memory.Limit)
	}
	r.reserved = n
	return nil
}

// validPatterns reports whether lists of patterns can be used.
func validPatterns(only, ignore []string) bool {
	for _, list := range [][]string{only, ignore} {
		if len(list) > maxPatterns || hasNUL(list) {
			return false
		}
		for _, pattern := range list {
			if pattern == "" {
				return false
			}
		}
	}
	return true
}

// A lineFilter picks the lines of events that a view has.
type lineFilter struct {
	sink   events.Sink // the filter, before this
	header []byte
	passed bool
}

// newLineFilter returns nil if the view has all.
func newLineFilter(v *view, header []byte) *lineFilter {
	if len(v.only)+len(v.ignore) == 0 {
		return nil
	}
	f := &lineFilter{header: append(bytes.Clone(header), '\n')}
	f.sink, _ = events.Filter(f, v.only, v.ignore) // the patterns are valid: newView
	return f
}

// Begin implements events.Sink.
func (f *lineFilter) Begin(*events.Header) error { return nil }

// Event implements events.Sink.
func (f *lineFilter) Event(*events.Event) error {
	f.passed = true
	return nil
}

// End implements events.Sink.
func (f *lineFilter) End(*events.Trailer) error { return nil }

// pick returns the lines that pass.
func (f *lineFilter) pick(lines []byte) ([]byte, error) {
	d := events.NewDecoder(io.MultiReader(bytes.NewReader(f.header), bytes.NewReader(lines)))
	if _, err := d.Header(); err != nil {
		return nil, err
	}
	var picked []byte
	for line := range bytes.Lines(lines) {
		e, err := d.Next()
		if err != nil {
			return nil, err
		}
		f.passed = false
		if err := f.sink.Event(e); err != nil {
			return nil, err
		}
		if f.passed {
			picked = append(picked, line...)
		}
	}
	return picked, nil
}
