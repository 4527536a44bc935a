package manifest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/fstrace/fstrace/events"
)

// Encode writes the document: one JSON object, an entry a line, so that people and
// diff(1) can read it.
func (m *Manifest) Encode(w io.Writer) error {
	e := encoder{w: bufio.NewWriterSize(w, 64<<10), root: m.Root}
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
	list(&e, "incomplete", m.Incomplete, func(g events.Incomplete) any {
		w := wireIncomplete{Reason: string(g.Reason), PID: g.PID}
		w.Detail, w.DetailBase64 = toText(g.Detail)
		return w
	})
	list(&e, "inputs", m.Inputs, e.entry)
	list(&e, "outputs", m.Outputs, e.entry)
	list(&e, "modified", m.Modified, e.path)
	list(&e, "removed", m.Removed, e.path)
	list(&e, "temporary", m.Temporary, e.path)
	list(&e, "renamed", m.Renamed, func(r Renaming) any {
		var w wireRenaming
		w.From, w.FromBase64 = toText(e.relative(r.From))
		w.To, w.ToBase64 = toText(e.relative(r.To))
		return w
	})
	list(&e, "volatile", m.Volatile, func(s string) any { return wireList{s}.one() })
	list(&e, "processes", m.Processes, processToWire)
	list(&e, "accesses", m.Accesses, e.access)
	e.raw("\n}\n")
	if e.err == nil {
		e.err = e.w.Flush()
	}
	return e.err
}

// An encoder keeps the first error.
type encoder struct {
	w      *bufio.Writer
	root   string
	err    error
	fields int
}

func (e *encoder) raw(s string) {
	if e.err == nil {
		_, e.err = e.w.WriteString(s)
	}
}

func (e *encoder) value(v any) {
	if e.err != nil {
		return
	}
	b, err := marshal(v)
	if e.err = err; err == nil {
		_, e.err = e.w.Write(b)
	}
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

func list[T any](e *encoder, name string, all []T, toWire func(T) any) {
	e.key(name)
	e.raw("[")
	for i, x := range all {
		if i > 0 {
			e.raw(",")
		}
		e.raw("\n ")
		e.value(toWire(x))
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

// relative takes the root off a path that is below it; "." is the root itself.
func (e *encoder) relative(path string) string {
	switch {
	case e.root == "" || !isWithin(path, e.root):
		return path
	case path == e.root:
		return "."
	}
	return strings.TrimPrefix(path[len(e.root):], "/")
}

func (e *encoder) path(path string) any { return wireList{e.relative(path)}.one() }

// one is the list's only element as it is in the list.
func (l wireList) one() any {
	if text, b := toText(l[0]); b == nil {
		return text
	}
	b := []byte(l[0])
	return wireBytes{&b}
}

func (e *encoder) entry(x Entry) any {
	w := wireEntry{State: x.State.String(), SHA256: x.SHA256, Entries: x.Entries, Names: x.Names, Before: x.Before.String(), Ops: opNames(x.Ops)}
	w.Path, w.PathBase64 = toText(e.relative(x.Path))
	w.Target, w.TargetBase64 = toText(x.Target)
	if x.Size != unset {
		w.Size = &x.Size
	}
	if x.Mtime != unset {
		w.Mtime = time.Unix(0, x.Mtime).UTC().Format(time.RFC3339Nano)
	}
	if x.State == events.StateFile || x.State == events.StateDir {
		w.Mode = formatMode(x.Mode)
	}
	return w
}

func (e *encoder) access(a Access) any {
	w := wireAccess{Op: a.Op.String(), State: a.State.String(), Syscall: a.Syscall}
	w.Path, w.PathBase64 = toText(e.relative(a.Path))
	w.As, w.AsBase64 = toText(a.As)
	if a.Process >= 0 {
		w.Process = &a.Process
	}
	for _, l := range a.Links {
		var x wireLink
		x.Path, x.PathBase64 = toText(e.relative(l.Path))
		x.Target, x.TargetBase64 = toText(l.Target)
		w.Links = append(w.Links, x)
	}
	return w
}

func (m *Manifest) command() wireCommand {
	w := wireCommand{Argv: wireList(m.Argv), Exit: toExit(m.Exit)}
	w.Cwd, w.CwdBase64 = toText(m.Cwd)
	return w
}

func processToWire(p Process) any {
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

func opNames(ops []events.Op) []string {
	names := make([]string, len(ops))
	for i, op := range ops {
		names[i] = op.String()
	}
	return names
}

// formatMode gives permission bits as chmod(1) does.
func formatMode(mode uint32) string { return fmt.Sprintf("%04o", mode) }

func parseMode(s string) (uint32, error) {
	mode, err := strconv.ParseUint(s, 8, 12)
	if err != nil || len(s) != 4 {
		return 0, fmt.Errorf("mode %q: not four octal digits", s)
	}
	return uint32(mode), nil
}
