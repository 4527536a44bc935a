package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/internal/jsonstring"
)

// Errors of [Decode], for use with errors.Is.
var (
	// ErrDamaged means that the input is not a manifest, or not a complete one.
	ErrDamaged = errors.New("damaged")
	// ErrVersion means that this package cannot read this version of the document.
	ErrVersion = errors.New("unknown version")
)

// document is the whole of it. What a manifest must have is a pointer, so that it is
// known whether it was there: a list that is missing is not an empty one.
type document struct {
	Fstrace      *int              `json:"fstrace"`
	Session      string            `json:"session"`
	Command      *wireCommand      `json:"command"`
	Root         string            `json:"root"`
	RootBase64   []byte            `json:"rootBase64"`
	Record       string            `json:"record"`
	RecordBase64 []byte            `json:"recordBase64"`
	Only         wireList          `json:"only"`
	Ignore       wireList          `json:"ignore"`
	Complete     *bool             `json:"complete"`
	Incomplete   *[]wireIncomplete `json:"incomplete"`
	Inputs       *[]wireEntry      `json:"inputs"`
	Outputs      *[]wireEntry      `json:"outputs"`
	Removed      wireList          `json:"removed"`
	Temporary    wireList          `json:"temporary"`
	Forgotten    []wireForgotten   `json:"forgotten"`
	Renamed      []wireRenaming    `json:"renamed"`
	External     *[]wireExternal   `json:"external"`
	Digest       string            `json:"digest"`
	Volatile     wireList          `json:"volatile"`
	Checksum     string            `json:"crc32c"`

	explanation explanation
}

// explanation is the part of the document that nobody compares.
type explanation struct {
	ForgottenProcesses int64         `json:"forgottenProcesses"`
	Processes          []wireProcess `json:"processes"`
	Accesses           []wireAccess  `json:"accesses"`
}

// Decode reads a document and validates it. It returns [ErrDamaged] if the document is
// cut off, contradicts itself or does not match its checksum, and [ErrVersion] for
// another version. It ignores unknown fields, because later versions may add some.
func Decode(r io.Reader) (*Manifest, error) { return decode(r, false) }

// DecodeCompared is like [Decode], but skips Processes and Accesses, which are the larger
// part of a document. The result is sufficient for [Check].
func DecodeCompared(r io.Reader) (*Manifest, error) { return decode(r, true) }

func decode(r io.Reader, comparedOnly bool) (*Manifest, error) {
	again, err := rereadable(r)
	if err != nil {
		return nil, readError(err)
	}
	if m, _, err := newWrittenReader(again, comparedOnly).manifest(nil); err == nil {
		return m, nil
	}
	if err := again.rewind(); err != nil {
		return nil, readError(err)
	}
	return decodeAny(again, comparedOnly)
}

func readError(err error) error { return fmt.Errorf("read manifest: %w", err) }

// A rereader can be read a second time.
type rereader struct {
	io.ReadSeeker
	start int64
}

// rereadable returns a reader of what is in r. What cannot be read twice, such as a pipe,
// it reads into memory.
func rereadable(r io.Reader) (*rereader, error) {
	if s, ok := r.(io.ReadSeeker); ok {
		if start, err := s.Seek(0, io.SeekCurrent); err == nil {
			return &rereader{s, start}, nil
		}
	}
	data, err := io.ReadAll(r)
	return &rereader{bytes.NewReader(data), 0}, err
}

func (r *rereader) rewind() error {
	_, err := r.Seek(r.start, io.SeekStart)
	return err
}

// decodeAny decodes any document, such as one that another program has written.
func decodeAny(r io.Reader, comparedOnly bool) (*Manifest, error) {
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, readError(err)
	}
	isWhole := verifyChecksum(data)
	doc := &document{}
	err = doc.unmarshal(data, comparedOnly && isWhole) // verifyAnew needs all of it
	var m *Manifest
	switch {
	case err == nil && doc.Fstrace == nil:
		err = errors.New(`no "fstrace" field`)
	case doc.Fstrace != nil && *doc.Fstrace != Version:
		return nil, fmt.Errorf("read manifest: version %d: %w (this fstrace reads version %d)", *doc.Fstrace, ErrVersion, Version)
	case err != nil:
	case !utf8.Valid(data): // encoding/json would put U+FFFD there and say nothing
		err = errors.New("not UTF-8")
	default:
		m, err = doc.manifest(nil)
		if err == nil && !isWhole {
			err = m.verifyAnew(doc.Checksum)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("read manifest: %w: %w", ErrDamaged, err)
	}
	return m, nil
}

// unmarshal reads all of data. A newer version need have only its number as
// it was.
func (d *document) unmarshal(data []byte, comparedOnly bool) error {
	err := json.Unmarshal(data, d)
	if err == nil && !comparedOnly {
		err = json.Unmarshal(data, &d.explanation)
	}
	if err != nil {
		var version struct {
			Fstrace *int `json:"fstrace"`
		}
		if json.Unmarshal(data, &version) == nil {
			d.Fstrace = version.Fstrace
		}
	}
	return err
}

// entryLists are the entries of a document.
type entryLists struct{ inputs, outputs []Entry }

// manifest makes a manifest of a document, with the entries if they have been read
// already.
func (d *document) manifest(read *entryLists) (*Manifest, error) {
	switch {
	case d.Command == nil, d.Complete == nil, d.Incomplete == nil, d.Inputs == nil, d.Outputs == nil, d.External == nil:
		return nil, errors.New("not whole: a field that every manifest has is missing")
	case *d.Complete != (len(*d.Incomplete) == 0):
		return nil, errors.New("its complete and incomplete disagree")
	}
	m, err := d.beginning()
	if err != nil {
		return nil, err
	}
	p := parser{root: m.Root}
	if d.Command.Exit == nil {
		p.fail("exit: neither a code nor a signal")
	} else {
		m.Exit = *d.Command.Exit
	}
	m.Surroundings = p.surroundings(d.Command)
	for i := range *d.External {
		m.External = append(m.External, p.external(&(*d.External)[i]))
	}
	if read != nil {
		m.Inputs, m.Outputs = read.inputs, read.outputs
	} else {
		m.Inputs = p.entries("input", *d.Inputs)
		m.Outputs = p.entries("output", *d.Outputs)
	}
	m.Removed, m.Temporary = p.paths(d.Removed), p.paths(d.Temporary)
	m.Forgotten = p.forgotten(d.Forgotten)
	for _, w := range d.Renamed {
		m.Renamed = append(m.Renamed, Renaming{p.path(jsonstring.Join(w.From, w.FromBase64)), p.path(jsonstring.Join(w.To, w.ToBase64))})
	}
	if m.Volatile, m.Digest = d.Volatile, d.Digest; !isSum(m.Digest) {
		p.fail("digest %q", d.Digest)
	}
	m.Processes = p.processes(d.explanation.Processes)
	if m.ForgottenProcesses = d.explanation.ForgottenProcesses; m.ForgottenProcesses < 0 {
		p.fail("%d forgotten processes", m.ForgottenProcesses)
	}
	m.Accesses = p.accesses(d.explanation.Accesses, len(m.Processes))
	m.sort()
	return m, p.err
}

// beginning makes of a manifest what comes before the inputs.
func (d *document) beginning() (*Manifest, error) {
	if d.Command == nil || d.Incomplete == nil {
		return nil, errors.New("not whole: a field that every manifest has is missing")
	}
	m := &Manifest{
		Session: d.Session, Argv: d.Command.Argv, Cwd: jsonstring.Join(d.Command.Cwd, d.Command.CwdBase64),
		Root: jsonstring.Join(d.Root, d.RootBase64), Record: jsonstring.Join(d.Record, d.RecordBase64),
		Only: d.Only, Ignore: d.Ignore,
	}
	for _, w := range *d.Incomplete {
		m.Incomplete = append(m.Incomplete, events.Incomplete{Reason: events.Reason(w.Reason), PID: w.PID, Detail: jsonstring.Join(w.Detail, w.DetailBase64)})
	}
	if m.Root != "" && !isClean(m.Root) {
		return nil, fmt.Errorf("root %q is not an absolute path", m.Root)
	}
	_, err := newPatterns(m.Only, m.Ignore)
	return m, err
}

// isClean reports whether a path is absolute and has no ".", ".." or empty components.
func isClean(s string) bool {
	if s == "" || s[0] != '/' {
		return false
	}
	for rest := s; rest != "" && s != "/"; {
		var name string
		if name, rest = cut(rest); name == "" || name == "." || name == ".." {
			return false
		}
	}
	return true
}
