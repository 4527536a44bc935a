package manifest

import (
	"io"
	"slices"
	"sync"
)

// CheckDocument decodes a document and checks it, with the result of [Decode] and
// [Check]. It takes less time and memory, because it compares most inputs as soon as it
// has read them and does not keep those that are unchanged.
func CheckDocument(r io.Reader, o CheckOptions) ([]Difference, error) {
	return checkDocument(r, o, newOSFS())
}

// CheckDocument is like the function [CheckDocument], but uses what the Checker already
// knows about paths.
func (c *Checker) CheckDocument(r io.Reader, o CheckOptions) ([]Difference, error) {
	return checkDocument(r, o, c.fs)
}

// checkDocument glances at each input as soon as its row is read, and forgets those that
// are plainly as they were. What the outputs are is not known then; but an input that is
// as it was is so whatever they are. The others, and all that comes after them, are
// compared in the ordinary way.
func checkDocument(r io.Reader, o CheckOptions, fs fileSystem) ([]Difference, error) {
	again, err := rereadable(r)
	if err != nil {
		return nil, readError(err)
	}
	if m, passed, err := glance(again, o, fs); err == nil {
		list, err := checkBeside(m, *passed, o, fs)
		// What is in the place of forgotten names may be an input.
		if !slices.ContainsFunc(list, func(d Difference) bool { return d.Detail == forgottenDetail }) {
			return list, err
		}
	}
	if err := again.rewind(); err != nil {
		return nil, readError(err)
	}
	m, err := DecodeCompared(again)
	if err != nil {
		return nil, err
	}
	return check(m, o, fs)
}

// glance decodes a document without the inputs that are plainly as they were, and returns
// what may be above those. An error means that the document has to be decoded in another
// way.
func glance(r io.Reader, o CheckOptions, fs fileSystem) (*Manifest, *ancestors, error) {
	w := newWrittenReader(r, true)
	begin := sync.OnceValue(func() *comparison {
		m, err := w.head.beginning()
		if err != nil {
			return nil
		}
		if !m.Complete() && !o.AllowIncomplete {
			return nil
		}
		p, err := newPatterns(m.Only, m.Ignore)
		if err != nil {
			return nil
		}
		c := newComparison(m, o, fs, p)
		c.isGlance = true
		return c
	})
	return w.manifest(func(list []Entry, tell func(*Entry, bool)) {
		if c := begin(); c != nil {
			c.glance(list, tell)
			return
		}
		for i := range list { // nothing is going to be compared
			tell(&list[i], false)
		}
	})
}

// A look is what was found at a path.
type look struct {
	path string
	id   identity
	err  error
}

// glance tells which entries are plainly as they were. It looks at some files first, and
// then for their hashes, which are far apart in memory: so the processor can wait for
// several at once.
func (c *comparison) glance(list []Entry, tell func(e *Entry, isSame bool)) {
	var looks [64]look
	for len(list) > 0 {
		n := min(len(list), len(looks))
		for i := range n {
			l := &looks[i]
			l.path = c.here(list[i].Path)
			l.id, l.err = c.fs.identify(l.path)
		}
		c.o.Cache.fetch(looks[:n])
		for i := range n {
			l := &looks[i]
			differences, err := c.compareWith(wanted{Entry: &list[i]}, l.path, &l.id, l.err)
			tell(&list[i], err == nil && len(differences) == 0)
		}
		list = list[n:]
	}
}
