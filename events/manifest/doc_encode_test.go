package manifest

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/internal/jsonstring"
	"pgregory.net/rapid"
)

// asWire is an entry as encoding/json would be given it.
func (m *Manifest) asWire(x *Entry) wireEntry {
	w := wireEntry{State: x.State.String(), SHA256: x.SHA256, Entries: x.Entries, Names: x.Names, Before: x.Before.String(), Ops: []string{}}
	for _, op := range x.Ops {
		w.Ops = append(w.Ops, op.String())
	}
	w.Path, w.PathBase64 = jsonstring.Split(m.relative(x.Path))
	w.Target, w.TargetBase64 = jsonstring.Split(x.Target)
	if x.Size != unset {
		w.Size = &x.Size
	}
	if x.Mtime != unset {
		w.Mtime = time.Unix(0, x.Mtime).UTC().Format(time.RFC3339Nano)
	}
	if x.State == events.StateFile || x.State == events.StateDir {
		w.Mode = fmt.Sprintf("%04o", x.Mode)
	}
	if x.UID != unset {
		w.Owner = fmt.Sprintf("%d:%d", x.UID, x.GID)
	}
	if x.Links != unset {
		w.Links = &x.Links
	}
	w.Error = x.Error
	if x.NotEmpty {
		w.Empty = new(bool)
	}
	w.Shared = x.Shared
	if x.Told.Mtime != unset || x.Told.Links != unset || x.Told.UID != unset {
		w.Told = &wireTold{}
		if x.Told.Mtime != unset {
			w.Told.Mtime = time.Unix(0, x.Told.Mtime).UTC().Format(time.RFC3339Nano)
		}
		if x.Told.Links != unset {
			w.Told.Links = &x.Told.Links
		}
		if x.Told.UID != unset {
			w.Told.Owner = fmt.Sprintf("%d:%d", x.Told.UID, x.Told.GID)
		}
	}
	return w
}

func (m *Manifest) accessAsWire(a *Access) wireAccess {
	w := wireAccess{Op: a.Op.String(), State: a.State.String(), Syscall: a.Syscall}
	w.Path, w.PathBase64 = jsonstring.Split(m.relative(a.Path))
	w.As, w.AsBase64 = jsonstring.Split(a.As)
	if a.Process >= 0 {
		w.Process = &a.Process
	}
	for _, l := range a.Links {
		var x wireLink
		x.Path, x.PathBase64 = jsonstring.Split(m.relative(l.Path))
		x.Target, x.TargetBase64 = jsonstring.Split(l.Target)
		w.Links = append(w.Links, x)
	}
	return w
}

// TestRows: entries and accesses are encoded as encoding/json does it.
func TestRows(t *testing.T) {
	text := rapid.OneOf(rapid.StringMatching(`/[a-z"\\<&é\x00-\x20\x{2028}]{1,8}`), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return "/" + string(b) }))
	text = text.Filter(func(s string) bool { return !strings.HasPrefix(s, "//") }) // not "" below a root
	some := rapid.OneOf(rapid.Just(""), text)
	state := rapid.Map(rapid.IntRange(1, int(events.StateAbsent)), func(i int) events.State { return events.State(i) })
	op := rapid.Map(rapid.IntRange(1, int(events.OpChdir)), func(i int) events.Op { return events.Op(i) })
	rapid.Check(t, func(r *rapid.T) {
		m := &Manifest{Root: rapid.SampledFrom([]string{"", "/", "/a"}).Draw(r, "root")}
		number := rapid.Int64Range(-1, 2)
		e := Entry{
			UID: number.Draw(r, "uid"), GID: 3, Links: number.Draw(r, "links"), Error: rapid.SampledFrom(lookupErrors[:]).Draw(r, "error"),
			NotEmpty: rapid.Bool().Draw(r, "notEmpty"), Shared: rapid.Bool().Draw(r, "shared"),
			Told: Told{Mtime: number.Draw(r, "told mtime"), Links: number.Draw(r, "told links"), UID: number.Draw(r, "told uid"), GID: 4},
			Path: text.Draw(r, "path"), State: state.Draw(r, "state"), Ops: rapid.SliceOf(op).Draw(r, "ops"),
			Size: rapid.Int64Min(-1).Draw(r, "size"), Mtime: rapid.Int64().Draw(r, "mtime"), Mode: rapid.Uint32Max(0o7777).Draw(r, "mode"),
			Target: some.Draw(r, "target"), Names: rapid.SliceOf(text).Draw(r, "names"),
			SHA256: rapid.SampledFrom([]string{"", sumOf("x")}).Draw(r, "sum"), Entries: rapid.SampledFrom([]string{"", sumOf("x")}).Draw(r, "entries"),
			Before: rapid.SampledFrom([]events.State{0, events.StateFile}).Draw(r, "before"),
		}
		a := Access{
			Path: text.Draw(r, "path"), State: state.Draw(r, "state"), Op: op.Draw(r, "op"), Process: rapid.IntRange(-1, 9).Draw(r, "process"),
			Syscall: rapid.SampledFrom([]string{"", "openat", `od"d`}).Draw(r, "syscall"), As: some.Draw(r, "as"),
		}
		for range rapid.IntRange(0, 2).Draw(r, "links") {
			a.Links = append(a.Links, events.Link{Path: text.Draw(r, "link"), Target: some.Draw(r, "target")})
		}
		var p piece
		m.addEntry(&p, &e)
		for _, row := range []struct {
			got  []byte
			wire any
		}{{p.rows, m.asWire(&e)}, {m.appendAccess(nil, &a), m.accessAsWire(&a)}} {
			want, err := marshal(row.wire)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.TrimPrefix(string(row.got), newRow); got != string(want) {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		}
	})
}

// TestManyRows: rows keep their order, whichever goroutine made them, and those that are
// of nothing leave no trace.
func TestManyRows(t *testing.T) {
	for _, n := range []int{0, 1, 255, 256, 257, 10_000} {
		var all []string
		rows := rows{n, func(p *piece, i int) {
			for range i % 3 {
				p.rows = fmt.Append(p.rows, newRow, i)
			}
		}}
		for i := range n {
			all = append(all, slices.Repeat([]string{"\n " + fmt.Sprint(i)}, i%3)...)
		}
		var out bytes.Buffer
		m := &Manifest{}
		if err := m.encode(&out, rows, rows); err != nil {
			t.Fatal(err)
		}
		list := "[" + strings.Join(all, ",") + "]"
		for _, want := range []string{"\"inputs\":" + list + ",\n", "\"accesses\":" + list + checksumKey} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%d rows are not there, or not in order", n)
			}
		}
	}
}

// A failing writer takes so many bytes.
type failingWriter int

func (w *failingWriter) Write(b []byte) (int, error) {
	if n := int(*w); len(b) > n {
		*w = 0
		return n, fmt.Errorf("no space")
	}
	*w -= failingWriter(len(b))
	return len(b), nil
}

// TestEncodeFails: an error of the writer is the encoder's, whenever it comes.
func TestEncodeFails(t *testing.T) {
	m := &Manifest{Session: "s"}
	for i := range 5000 {
		m.Inputs = append(m.Inputs, Entry{Path: fmt.Sprint("/", i), State: events.StateAbsent, Size: unset, Mtime: unset, UID: unset, GID: unset, Links: unset, Told: untold})
	}
	for _, n := range []failingWriter{0, 1, 100_000, 200_000} {
		if err := m.Encode(&n); err == nil {
			t.Error("no error")
		}
	}
}

// TestEntryOfAbsent: what has no target has none in the document, which would not be read
// again with it.
func TestEntryOfAbsent(t *testing.T) {
	o := newPaths().at("/a")
	o.state = events.StateAbsent
	o.edit().target = "b"
	if e := o.entry(new(piece)); e.Target != "" {
		t.Errorf("%+v", e)
	}
}

func TestIncomplete(t *testing.T) {
	p := newPlay(t, newFakeFS(), Options{})
	if got := p.r.Incomplete(); got != nil {
		t.Errorf("before End: %v", got)
	}
	p.fs.write("/w/a", "a")
	p.stat("/w/a")
	p.fs.write("/w/a", "changed")
	m := p.end()
	if got := p.r.Incomplete(); len(got) != 1 || got[0] != m.Incomplete[0] {
		t.Errorf("got %v, want %v", got, m.Incomplete)
	}
}

// TestDigest: what the command was told of times does not count, nor do names of which
// there is a hash, and everything else does.
func TestDigest(t *testing.T) {
	digest := func(change func(m *Manifest)) string {
		m := sample()
		change(m)
		if err := m.Encode(&bytes.Buffer{}); err != nil {
			t.Fatal(err)
		}
		return m.Digest
	}
	listed := func(m *Manifest) *Entry {
		return &m.Inputs[slices.IndexFunc(m.Inputs, func(e Entry) bool { return len(e.Names) > 0 })]
	}
	want := digest(func(*Manifest) {})
	for name, change := range map[string]func(m *Manifest){
		"session":   func(m *Manifest) { m.Session = "t" },
		"told":      func(m *Manifest) { m.Inputs[0].Told = untold },
		"temporary": func(m *Manifest) { m.Temporary = nil },
		"names":     func(m *Manifest) { listed(m).Names[0] += "x" },
	} {
		if got := digest(change); got != want {
			t.Errorf("%s: it counts", name)
		}
	}
	for name, change := range map[string]func(m *Manifest){
		"entries": func(m *Manifest) { listed(m).Entries = sumOf("x") },
		"mode":    func(m *Manifest) { m.Inputs[0].Mode ^= 1 },
		"owner":   func(m *Manifest) { m.Inputs[1].UID++ },
		"mtime":   func(m *Manifest) { m.Inputs[1].Mtime++ },
		"output":  func(m *Manifest) { m.Outputs[0].Size++ },
		"removed": func(m *Manifest) { m.Removed = nil },
	} {
		if got := digest(change); got == want {
			t.Errorf("%s: it does not count", name)
		}
	}
}
