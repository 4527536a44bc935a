package manifest

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"hash/crc32"
	"io"

	"github.com/fstrace/fstrace/internal/jsonstring"
)

// Encode writes the document: one JSON object with an entry per line, so that people and
// diff(1) can read it. It sets m.Digest.
func (m *Manifest) Encode(w io.Writer) error {
	inputs, accesses := m.rowsOf()
	return m.encode(w, inputs, accesses)
}

func (m *Manifest) rowsOf() (inputs, accesses rows) {
	inputs = rows{len(m.Inputs), func(p *piece, i int) { m.addEntry(p, &m.Inputs[i]) }}
	accesses = rows{len(m.Accesses), func(p *piece, i int) { p.rows = m.appendAccess(p.rows, &m.Accesses[i]) }}
	return inputs, accesses
}

// encode writes the document with the inputs and accesses that are given, which are most
// of it: they need not all be there at once.
func (m *Manifest) encode(w io.Writer, inputs, accesses rows) error {
	sum := &summingWriter{w: w}
	if err := m.encodeBodyOf(sum, inputs, accesses); err != nil {
		return err
	}
	_, err := w.Write(appendChecksum(nil, sum.sum))
	return err
}

// encodeBody writes all of the document but its checksum.
func (m *Manifest) encodeBody(sum *summingWriter) error {
	inputs, accesses := m.rowsOf()
	return m.encodeBodyOf(sum, inputs, accesses)
}

func (m *Manifest) encodeBodyOf(sum *summingWriter, inputs, accesses rows) error {
	e := encoder{w: bufio.NewWriterSize(sum, 64<<10), digest: digester{Hash: sha256.New()}}
	madeInputs, madeAccesses := inputs.make(), accesses.make()
	e.raw("{")
	e.field("fstrace", Version)
	e.field("session", m.Session)
	e.field("command", m.command())
	if m.Root != "" {
		e.text("root", m.Root)
	}
	if m.Record != "" {
		e.text("record", m.Record)
	}
	if len(m.Only) > 0 {
		e.field("only", wireList(m.Only))
	}
	if len(m.Ignore) > 0 {
		e.field("ignore", wireList(m.Ignore))
	}
	e.field("complete", m.Complete())
	e.list("incomplete", len(m.Incomplete), func(i int) any {
		g := &m.Incomplete[i]
		w := wireIncomplete{Reason: string(g.Reason), PID: g.PID}
		w.Detail, w.DetailBase64 = jsonstring.Split(g.Detail)
		return w
	})
	e.summed("inputs", madeInputs)
	e.summed("outputs", rows{len(m.Outputs), func(p *piece, i int) { m.addEntry(p, &m.Outputs[i]) }}.make())
	e.rows("modified", m.pathRows(m.Modified))
	e.summed("removed", m.pathRows(m.Removed))
	e.rows("temporary", m.pathRows(m.Temporary))
	if len(m.Forgotten) > 0 {
		e.list("forgotten", len(m.Forgotten), func(i int) any { return m.forgottenToWire(&m.Forgotten[i]) })
	}
	e.list("renamed", len(m.Renamed), func(i int) any {
		var w wireRenaming
		w.From, w.FromBase64 = jsonstring.Split(m.relative(m.Renamed[i].From))
		w.To, w.ToBase64 = jsonstring.Split(m.relative(m.Renamed[i].To))
		return w
	})
	e.list("external", len(m.External), func(i int) any { return externalToWire(&m.External[i]) })
	m.Digest = hex.EncodeToString(e.digest.Sum(nil))
	e.field("digest", m.Digest)
	e.rows("volatile", rows{len(m.Volatile), func(p *piece, i int) {
		p.rows = appendElement(append(p.rows, newRow...), m.Volatile[i])
	}}.make())
	if m.ForgottenProcesses > 0 {
		e.field("forgottenProcesses", m.ForgottenProcesses)
	}
	e.list("processes", len(m.Processes), func(i int) any { return processToWire(&m.Processes[i]) })
	e.rows("accesses", madeAccesses)
	e.flush()
	return e.err
}

// A summingWriter keeps the CRC-32C of what it has passed on.
type summingWriter struct {
	w   io.Writer
	sum uint32
}

func (s *summingWriter) Write(b []byte) (int, error) {
	s.sum = crc32.Update(s.sum, castagnoli(), b)
	return s.w.Write(b)
}

// An encoder keeps the first error.
type encoder struct {
	w      *bufio.Writer
	digest digester
	err    error
	fields int
}

func (e *encoder) flush() {
	if e.err == nil {
		e.err = e.w.Flush()
	}
}

func (e *encoder) raw(s string) {
	if e.err == nil {
		_, e.err = e.w.WriteString(s)
	}
}

func (e *encoder) write(b []byte) {
	if e.err == nil {
		_, e.err = e.w.Write(b)
	}
}

func (e *encoder) value(v any) {
	b, err := marshal(v)
	if err != nil && e.err == nil {
		e.err = err
	}
	e.write(b)
}

func (e *encoder) key(name string) {
	if e.fields++; e.fields > 1 {
		e.raw(",")
	}
	e.raw("\n\"" + name + "\":")
}

func (e *encoder) field(name string, v any) {
	e.key(name)
	e.value(v)
}

func (e *encoder) text(name, s string) {
	if text, b := jsonstring.Split(s); b == nil {
		e.field(name, text)
	} else {
		e.field(name+"Base64", b)
	}
}

// list writes an array that is short.
func (e *encoder) list(name string, n int, toWire func(i int) any) {
	e.key(name)
	e.raw("[")
	for i := range n {
		if i > 0 {
			e.raw(",")
		}
		e.raw("\n ")
		e.value(toWire(i))
	}
	e.raw("]")
}

// marshal is json.Marshal without the care for HTML.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

func (m *Manifest) command() wireCommand {
	w := wireCommand{Argv: wireList(m.Argv), Exit: &m.Exit}
	w.Cwd, w.CwdBase64 = jsonstring.Split(m.Cwd)
	if s := m.Surroundings; s != nil {
		w.UID, w.GID, w.Umask, w.Stdin = &s.UID, &s.GID, formatMode(s.Umask), string(s.Stdin)
		list := make([]wireVariable, 0, len(s.Environment))
		for _, v := range s.Environment {
			x := wireVariable{Digest: v.Digest}
			x.Name, x.NameBase64 = jsonstring.Split(v.Name)
			if v.Value != "" {
				var text string
				if text, x.ValueBase64 = jsonstring.Split(v.Value); x.ValueBase64 == nil {
					x.Value = &text
				}
			}
			list = append(list, x)
		}
		w.Environment = &list
	}
	return w
}

func externalToWire(x *External) wireExternal {
	w := wireExternal{Kind: string(x.Kind)}
	w.Path, w.PathBase64 = jsonstring.Split(x.Path)
	w.Address, w.AddressBase64 = jsonstring.Split(x.Address)
	if x.Descriptor >= 0 {
		w.Descriptor = &x.Descriptor
	}
	return w
}

func (m *Manifest) forgottenToWire(t *Forgotten) wireForgotten {
	w := wireForgotten{Count: t.Count, Filter: t.Filter, Any: t.Any, Except: t.Except}
	w.Dir, w.DirBase64 = jsonstring.Split(m.relative(t.Dir))
	return w
}

func processToWire(p *Process) any {
	w := wireProcess{PID: p.PID, PPID: p.PPID, Argv: wireList(p.Argv)}
	w.Exe, w.ExeBase64 = jsonstring.Split(p.Exe)
	w.Cwd, w.CwdBase64 = jsonstring.Split(p.Cwd)
	if p.From >= 0 {
		w.From = &p.From
	}
	w.Exit = p.Exit
	return w
}
