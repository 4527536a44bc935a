package ipc

import (
	"bytes"
	"path/filepath"
	"unicode/utf8"

	"github.com/fstrace/fstrace/events/manifest"
)

// methodCheck compares a manifest with the file system, as this process's user: no
// other user gets here.
func (s *Server) methodCheck(r *request) error {
	var p wireCheck
	if err := decodeParameters(r.Parameters, &p); err != nil {
		return err
	}
	doc := []byte(p.Manifest)
	switch {
	case p.Root != "" && (!filepath.IsAbs(p.Root) || filepath.Clean(p.Root) != p.Root || hasNUL([]string{p.Root})):
		return invalidParameter("root")
	case given(p.Manifest) == (p.Session != ""):
		return invalidParameter("manifest") // one of the two
	case p.Session != "":
		n, err := s.find(p.Session)
		if err != nil {
			return err
		}
		if doc, err = n.readManifest(); err != nil {
			return err
		}
	}
	// A client that goes away cancels its check. The goroutine may stay for a while, in
	// a file system that hangs, and so does what its message counts for.
	cancel := make(chan struct{})
	defer close(cancel)
	message := r.detach()
	result := make(chan *CheckResult, 1)
	go func() {
		defer message.release()
		result <- s.check(doc, &p, cancel)
	}()
	select {
	case out := <-result:
		return r.reply(out)
	case <-r.gone:
		return errBrokenOff
	}
}

func (s *Server) check(doc []byte, p *wireCheck, cancel <-chan struct{}) *CheckResult {
	m, err := manifest.DecodeCompared(bytes.NewReader(doc))
	if err != nil {
		return NewCheckResult(nil, err)
	}
	return NewCheckResult(manifest.Check(m, manifest.CheckOptions{
		Cache: s.config.Cache, AsFound: p.InputsOnly, AllowIncomplete: p.AllowIncomplete,
		Root: p.Root, File: m.Record, Cancel: cancel,
	}))
}

// NewCheckResult makes an answer of what manifest.Check returns, which "fstrace check
// --json" prints as well.
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
	r := CheckReason{Reason: string(d.Reason), Path: d.Path, Detail: d.Detail}
	if !utf8.ValidString(d.Path) {
		r.Path, r.PathBase64 = "", []byte(d.Path)
	}
	for _, typed := range d.Added {
		r.Added = append(r.Added, manifest.Quote(typed[2:]))
	}
	for _, typed := range d.Gone {
		r.Gone = append(r.Gone, manifest.Quote(typed[2:]))
	}
	return r
}
