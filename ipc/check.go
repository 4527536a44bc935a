package ipc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/events/manifest"
	"github.com/fstrace/fstrace/internal/jsonstring"
	"github.com/fstrace/fstrace/ipc/internal/varlink"
)

// methodCheck compares a manifest with the file system, as this process's user: no other
// user gets here.
func (s *Server) methodCheck(r *request) error {
	var p wireCheck
	if err := decodeParameters(r.Parameters, &p); err != nil {
		return err
	}
	c := &check{server: s, p: &p, gone: r.gone, message: r.frame.Detach()}
	if err := c.find(r); err != nil {
		c.message.Release()
		return err
	}
	// A client that goes away cancels its check. The goroutine may stay for a while, in a
	// file system that hangs, and so does what its message counts for.
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	result := make(chan *CheckResult, 1)
	failed := make(chan error, 1)
	go func() {
		doc, err := c.document()
		if err != nil {
			c.message.Release()
			failed <- err
			return
		}
		out := c.compare(ctx, doc)
		c.message.Release() // before there is an answer
		result <- out
	}()
	select {
	case out := <-result:
		return r.reply(out)
	case err := <-failed:
		return err
	case <-r.gone:
		return varlink.ErrBrokenOff
	}
}

// A check is one call of Check.
type check struct {
	server  *Server
	p       *wireCheck
	gone    <-chan struct{}
	message *varlink.Frame // has what the check counts for
	session *session       // if the manifest is a session's
	file    *os.File       // if it is in a file
	times   manifest.Times
}

// find finds out which manifest is meant.
func (c *check) find(r *request) (err error) {
	p, ways := c.p, 0
	if p.Times != "" && c.times.UnmarshalText([]byte(p.Times)) != nil {
		return invalidParameter("times")
	}
	for _, kind := range p.Refuse {
		if !slices.Contains(manifest.ExternalKinds(), manifest.ExternalKind(kind)) {
			return invalidParameter("refuse")
		}
	}
	for _, way := range []bool{given(p.Manifest), p.Session != "", p.Descriptor != nil} {
		if way {
			ways++
		}
	}
	switch {
	case p.Root != "" && (!filepath.IsAbs(p.Root) || filepath.Clean(p.Root) != p.Root || hasNUL([]string{p.Root})):
		return invalidParameter("root")
	case ways != 1:
		return invalidParameter("manifest") // one of the three
	case p.Session != "":
		if c.session, err = c.server.registry.find(p.Session); errors.Is(err, ErrNoSuchSession) {
			c.file, err = c.server.siblingManifest(p.Session, r.gone)
		}
	case p.Descriptor != nil:
		fd, ok := r.takeFile(*p.Descriptor)
		if !ok {
			return invalidParameter("descriptor")
		}
		c.file = os.NewFile(uintptr(fd), "manifest")
	}
	return err
}

// document returns the manifest, once there is memory for all that becomes of it.
func (c *check) document() ([]byte, error) {
	switch {
	case c.session != nil:
		size, weight, err := c.session.documentSize()
		if err != nil {
			return nil, err
		}
		if err := c.server.admit(c.message, size+weight, c.gone); err != nil {
			return nil, err
		}
		return c.session.readManifest()
	case c.file != nil:
		defer c.file.Close()
		return c.readFile()
	}
	return c.p.Manifest, nil // the message has been let in
}

// readFile reads the manifest from a file that the client has passed: once to find out
// what it weighs, and again when there is room for that.
func (c *check) readFile() ([]byte, error) {
	info, err := c.file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil, invalidParameter("descriptor") // a pipe might never end
	}
	size, weight := info.Size(), int64(0)
	for range 2 {
		if err := c.server.admit(c.message, size+weight, c.gone); err != nil {
			return nil, err
		}
		doc := make([]byte, size)
		if _, err := c.file.ReadAt(doc, 0); err != nil {
			return nil, newError(ErrNoManifest, "session", "", "message", "read the manifest: "+cause(err).Error())
		}
		if !json.Valid(doc) {
			return doc, nil // decoding it again says what is wrong
		}
		before := weight
		if weight = varlink.Weigh(doc, patterns); weight <= before {
			return doc, nil
		}
	}
	return nil, newError(ErrNoManifest, "session", "", "message", "read the manifest: the file changes meanwhile")
}

func (c *check) compare(ctx context.Context, doc []byte) *CheckResult {
	m, err := manifest.DecodeCompared(bytes.NewReader(doc))
	if err != nil {
		return NewCheckResult(nil, err)
	}
	o := manifest.CheckOptions{
		Cache: c.server.config.Cache, AllowIncomplete: c.p.AllowIncomplete, Root: c.p.Root, File: m.Record,
		AsFound: c.p.AsFound, IgnoreFormerOutputs: c.p.IgnoreFormerOutputs, Times: c.times,
	}
	for _, kind := range c.p.Refuse {
		o.Refuse = append(o.Refuse, manifest.ExternalKind(kind))
	}
	return NewCheckResult(manifest.CheckContext(ctx, m, o))
}

// cause takes off what os says of the operation and the path.
func cause(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// NewCheckResult makes a CheckResult from the result of manifest.Check.
func NewCheckResult(list []manifest.Difference, err error) *CheckResult {
	out := &CheckResult{Status: "valid", Reasons: []CheckReason{}}
	switch {
	case err != nil:
		out.Status, out.Error = "unknown", err.Error()
	case len(list) > 0:
		out.Status = "stale"
	}
	for i := range list {
		out.Reasons = append(out.Reasons, reasonOf(&list[i]))
	}
	return out
}

func reasonOf(d *manifest.Difference) CheckReason {
	r := CheckReason{Reason: string(d.Reason), Detail: d.Detail}
	r.Path, r.PathBase64 = jsonstring.Split(d.Path)
	for _, typed := range d.Added {
		r.Added = append(r.Added, events.Quote(typed[2:]))
	}
	for _, typed := range d.Gone {
		r.Gone = append(r.Gone, events.Quote(typed[2:]))
	}
	return r
}
