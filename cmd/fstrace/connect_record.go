package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/events/summary"
	"github.com/fstrace/fstrace/ipc"
)

// received is the record of a connected run, which is written as it comes. The whole
// stream is read whatever becomes of what is written: to leave off is to have the
// command cancelled.
type received struct {
	flags  *flags
	out    *output
	client *ipc.Client
	stream *ipc.Stream

	gaps []events.Incomplete
	sum  *summary.Summary // for -v, nil without
	err  error            // why the record is not whole
}

// take reads the stream to its end. What it returns is the stream's error.
func (r *received) take() (err error) {
	switch r.flags.format {
	case "jsonl":
		err = r.copyLines(r.out)
	case "manifest":
		if err = r.copyLines(io.Discard); err == nil {
			r.takeManifest()
		}
	default:
		err = r.encode()
	}
	if err == nil && r.err == nil {
		if told := r.stream.Result(); told.Error != "" {
			r.err = errors.New(told.Error)
		}
	}
	return err
}

// copyLines writes a JSONL record as the daemon has it, byte for byte.
func (r *received) copyLines(w io.Writer) error {
	if r.sum != nil {
		lines, wait := sumLines(r.sum)
		defer wait()
		w = io.MultiWriter(lines, w)
	}
	var start, end []byte
	var lines bytes.Buffer
	line := func(b []byte) {
		if len(b) > 0 {
			lines.Write(b)
			lines.WriteByte('\n')
		}
	}
	for {
		u, err := r.stream.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if u.Start != nil {
			start = u.Start
		}
		if u.End != nil {
			end = u.End
		}
		line(u.Start)
		for _, e := range u.Events {
			line(e)
		}
		line(u.End)
		if r.err == nil {
			_, r.err = w.Write(lines.Bytes())
		}
		lines.Reset()
	}
	if end == nil { // the daemon says why
		return nil
	}
	line(start)
	line(end)
	d := events.NewDecoder(&lines)
	if _, err := d.Next(); err != io.EOF {
		return fmt.Errorf("fstraced: end of the record: %w", err)
	}
	r.trailer(d.Trailer())
	return nil
}

// encode gives the record to the format's encoder.
func (r *received) encode() error {
	sink, err := newSink(&flags{format: r.flags.format, depTargets: r.flags.depTargets, phony: r.flags.phony}, r.out, r.flags.live())
	if err != nil {
		return err
	}
	if r.sum != nil {
		sink = &summingSink{sink, r.sum}
	}
	err = r.stream.Replay(&patientSink{Sink: sink, received: r})
	if told := r.stream.Result(); told != nil && told.Error != "" {
		return nil // the record has no trailer: this is why
	}
	return err
}

// A patientSink goes on without its sink when that has failed.
type patientSink struct {
	events.Sink
	received *received
}

func (p *patientSink) Begin(h *events.Header) error {
	p.received.err = p.Sink.Begin(h)
	return nil
}

func (p *patientSink) Event(e *events.Event) error {
	if p.received.err == nil {
		p.received.err = p.Sink.Event(e)
	}
	return nil
}

func (p *patientSink) End(t *events.Trailer) error {
	p.received.trailer(t)
	if p.received.err == nil {
		p.received.err = p.Sink.End(t)
	}
	return nil
}

func (r *received) trailer(t *events.Trailer) { r.gaps = t.Incomplete }

// takeManifest writes the session's manifest, as the daemon has folded it. What that may
// miss is in it.
func (r *received) takeManifest() {
	if told := r.stream.Result(); told.Error != "" {
		return
	}
	doc, err := r.client.Manifest(context.Background(), r.stream.Session())
	if err != nil {
		r.err = fmt.Errorf("get the manifest: %w", err)
		return
	}
	var m struct {
		Incomplete []struct {
			Reason       events.Reason `json:"reason"`
			PID          int           `json:"pid"`
			Detail       string        `json:"detail"`
			DetailBase64 []byte        `json:"detailBase64"`
		} `json:"incomplete"`
	}
	if err := json.Unmarshal(doc, &m); err != nil {
		r.err = fmt.Errorf("the manifest: %w", err)
		return
	}
	r.gaps = nil
	for _, g := range m.Incomplete {
		r.gaps = append(r.gaps, events.Incomplete{Reason: g.Reason, PID: g.PID, Detail: g.Detail + string(g.DetailBase64)})
	}
	if !bytes.HasSuffix(doc, []byte{'\n'}) {
		doc = append(doc, '\n')
	}
	_, r.err = r.out.Write(doc)
}
