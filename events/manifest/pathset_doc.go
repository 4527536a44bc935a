package manifest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/bits"
	"slices"
	"strings"

	"github.com/fstrace/fstrace/internal/jsonstring"
)

// wirePathSet is the document of a path set.
type wirePathSet struct {
	FStrace int        `json:"fstracePathSet"`
	Depth   bool       `json:"depth,omitempty"`
	Paths   []wirePath `json:"paths"`
}

type wirePath struct {
	Path       string   `json:"path,omitempty"`
	PathBase64 []byte   `json:"pathBase64,omitempty"`
	Facts      []string `json:"facts,omitempty"`
}

// Encode returns the document of a path set. Equal sets have equal documents, wherever
// their places are.
func (p *PathSet) Encode() []byte {
	w := wirePathSet{FStrace: Version, Depth: p.depth, Paths: make([]wirePath, len(p.questions))}
	for i, q := range p.questions {
		x := &w.Paths[i]
		x.Path, x.PathBase64 = jsonstring.Split(q.path)
		for f := q.facts; f != 0; f &= f - 1 {
			x.Facts = append(x.Facts, askWords[bits.TrailingZeros16(uint16(f))])
		}
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(&w); err != nil {
		panic(err) // strings and numbers
	}
	return b.Bytes()
}

// DecodePathSet reads a document that Encode returned, for places of the same names. It
// returns ErrDamaged if it is none, and ErrVersion for another version.
func DecodePathSet(document []byte, places Places) (*PathSet, error) {
	var w wirePathSet
	if err := json.Unmarshal(document, &w); err != nil {
		return nil, fmt.Errorf("path set: %w: %v", ErrDamaged, err)
	}
	switch {
	case w.FStrace == 0:
		return nil, fmt.Errorf("path set: %w", ErrDamaged)
	case w.FStrace != Version:
		return nil, fmt.Errorf("path set: %w: %d", ErrVersion, w.FStrace)
	}
	p := &PathSet{places: places, depth: w.Depth, questions: make([]question, len(w.Paths))}
	for i := range w.Paths {
		x, q := &w.Paths[i], &p.questions[i]
		q.path = jsonstring.Join(x.Path, x.PathBase64)
		if path, ok := places.Path(q.path); !ok || !strings.HasPrefix(path, "/") || strings.ContainsRune(path, 0) {
			return nil, fmt.Errorf("path set: %w: %q is in no place", ErrDamaged, q.path)
		}
		for _, word := range x.Facts {
			n := slices.Index(askWords[:], word)
			if n < 0 {
				return nil, fmt.Errorf("path set: %w: fact %q", ErrDamaged, word)
			}
			q.facts |= 1 << n
		}
	}
	return p, nil
}
