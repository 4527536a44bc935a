package manifest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"runtime"
)

// Encode writes the document: one JSON object, an entry a line, so that people and
// diff(1) can read it.
func (m *Manifest) Encode(w io.Writer) error {
	inputs := rows{len(m.Inputs), func(b []byte, i int) []byte { return m.appendEntry(b, &m.Inputs[i]) }}
	accesses := rows{len(m.Accesses), func(b []byte, i int) []byte { return m.appendAccess(b, &m.Accesses[i]) }}
	return m.encode(w, inputs, accesses)
}

// encode writes the document with the inputs and accesses that are given, which are most
// of it: they need not all be there at once.
func (m *Manifest) encode(w io.Writer, inputs, accesses rows) error {
	e := encoder{w: bufio.NewWriterSize(w, 64<<10)}
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
		w.Detail, w.DetailBase64 = toText(g.Detail)
		return w
	})
	e.rows("inputs", inputs)
	e.rows("outputs", rows{len(m.Outputs), func(b []byte, i int) []byte { return m.appendEntry(b, &m.Outputs[i]) }})
	e.rows("modified", m.pathRows(m.Modified))
	e.rows("removed", m.pathRows(m.Removed))
	e.rows("temporary", m.pathRows(m.Temporary))
	e.list("renamed", len(m.Renamed), func(i int) any {
		var w wireRenaming
		w.From, w.FromBase64 = toText(m.relative(m.Renamed[i].From))
		w.To, w.ToBase64 = toText(m.relative(m.Renamed[i].To))
		return w
	})
	e.rows("volatile", rows{len(m.Volatile), func(b []byte, i int) []byte {
		return appendElement(append(b, newRow...), m.Volatile[i])
	}})
	e.list("processes", len(m.Processes), func(i int) any { return processToWire(&m.Processes[i]) })
	e.rows("accesses", accesses)
	e.raw("\n}\n")
	if e.err == nil {
		e.err = e.w.Flush()
	}
	return e.err
}

// An encoder keeps the first error.
type encoder struct {
	w      *bufio.Writer
	err    error
	fields int
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
	if text, b := toText(s); b == nil {
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

// rows are the elements of an array that may be long, in the order of n things:
// append appends the elements that are made of the i-th, each behind newRow. It is
// called for several at once.
type rows struct {
	n      int
	append func(b []byte, i int) []byte
}

const newRow = ",\n "

// rows writes an array. Its pieces are made by turns by one goroutine a processor, in
// buffers so small that they stay in its cache.
func (e *encoder) rows(name string, r rows) {
	const piece = 128
	pieces := (r.n + piece - 1) / piece
	makers := make([]maker, min(runtime.GOMAXPROCS(0), pieces))
	for k := range makers {
		m := maker{made: make(chan []byte, 1), used: make(chan []byte, 2)}
		m.used <- nil
		m.used <- nil
		makers[k] = m
		go func() {
			for p := k; p < pieces; p += len(makers) {
				b := (<-m.used)[:0]
				for i := p * piece; i < min((p+1)*piece, r.n); i++ {
					b = r.append(b, i)
				}
				m.made <- b
			}
		}()
	}
	e.key(name)
	e.raw("[")
	isFirst := true
	for p := range pieces {
		m := makers[p%len(makers)]
		b := <-m.made
		if isFirst && len(b) > 0 {
			e.write(b[len(","):])
			isFirst = false
		} else {
			e.write(b)
		}
		m.used <- b
	}
	e.raw("]")
}

// A maker sends the pieces that it has made, and gets their buffers back.
type maker struct{ made, used chan []byte }

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
	w := wireCommand{Argv: wireList(m.Argv), Exit: toExit(m.Exit)}
	w.Cwd, w.CwdBase64 = toText(m.Cwd)
	return w
}

func processToWire(p *Process) any {
	w := wireProcess{PID: p.PID, PPID: p.PPID, Argv: wireList(p.Argv)}
	w.Exe, w.ExeBase64 = toText(p.Exe)
	w.Cwd, w.CwdBase64 = toText(p.Cwd)
	if p.From >= 0 {
		w.From = &p.From
	}
	if p.Exit != nil {
		w.Exit = toExit(*p.Exit)
	}
	return w
}
