package manifest

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/internal/jsonstring"
)

// The rows of the long arrays are put together here, as encoding/json does it of
// wireEntry and wireAccess. By reflection, a large manifest would take longer to
// encode than to be found.

func (m *Manifest) addEntry(p *piece, x *Entry) {
	path := m.relative(x.Path)
	p.counted.add(path)
	p.counted.addFacts(x)
	b := append(p.rows, newRow+"{"...)
	b = jsonstring.AppendField(b, `"path`, path)
	b = appendWord(b, `,"state":`, x.State.String())
	b = appendWordIfSet(b, `,"sha256":`, x.SHA256)
	b = appendNumberIfSet(b, `,"size":`, x.Size)
	b = p.clock.appendTimeIfSet(b, `,"mtime":"`, x.Mtime)
	if x.State == events.StateFile || x.State == events.StateDir {
		b = append(b, `,"mode":"`...)
		b = appendMode(b, x.Mode)
		b = append(b, '"')
	}
	b = appendOwnerIfSet(b, x.UID, x.GID)
	b = appendNumberIfSet(b, `,"links":`, x.Links)
	b = jsonstring.AppendFieldIfSet(b, `,"target`, x.Target)
	b = appendWordIfSet(b, `,"error":`, x.Error)
	b = appendWordIfSet(b, `,"entries":`, x.Entries)
	if len(x.Names) > 0 {
		b = append(b, `,"names":[`...)
		for i, name := range x.Names {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendElement(b, name)
		}
		b = append(b, ']')
	}
	if x.NotEmpty {
		b = append(b, `,"empty":false`...)
	}
	if x.Shared {
		b = append(b, `,"shared":true`...)
	}
	b = appendWordIfSet(b, `,"before":`, x.Before.String())
	b = append(b, `,"ops":[`...)
	for i, op := range x.Ops {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendWord(b, "", op.String())
	}
	b = append(b, ']')
	if x.Told.Mtime != unset || x.Told.Links != unset || x.Told.UID != unset {
		start := len(b)
		b = append(b, toldKey...)
		b = p.clock.appendTimeIfSet(b, `,"mtime":"`, x.Told.Mtime)
		b = appendNumberIfSet(b, `,"links":`, x.Told.Links)
		b = appendOwnerIfSet(b, x.Told.UID, x.Told.GID)
		b[start+len(toldKey)] = '{' // for the first comma
		b = append(b, '}')
	}
	p.rows = append(b, '}')
}

// toldKey comes before [Entry.Told].
const toldKey = `,"told":`

func appendOwnerIfSet(b []byte, uid, gid int64) []byte {
	if uid == unset {
		return b
	}
	b = strconv.AppendInt(append(b, `,"owner":"`...), uid, 10)
	b = strconv.AppendInt(append(b, ':'), gid, 10)
	return append(b, '"')
}

func appendNumberIfSet(b []byte, key string, n int64) []byte {
	if n == unset {
		return b
	}
	return strconv.AppendInt(append(b, key...), n, 10)
}

// A clock formats times as time.RFC3339Nano does. The files of a tree mostly have the
// same few seconds.
type clock struct {
	second int64
	text   []byte // of that second, without the zone
}

func (c *clock) appendTimeIfSet(b []byte, key string, ns int64) []byte {
	if ns == unset {
		return b
	}
	t := time.Unix(0, ns)
	if len(c.text) == 0 || t.Unix() != c.second {
		c.second, c.text = t.Unix(), t.UTC().AppendFormat(c.text[:0], "2006-01-02T15:04:05")
	}
	b = append(append(b, key...), c.text...)
	if part := t.Nanosecond(); part > 0 {
		start := len(b)
		b = strconv.AppendInt(b, int64(1e9+part), 10)
		b[start] = '.' // for the 1
		b = bytes.TrimRight(b, "0")
	}
	return append(b, `Z"`...)
}

func (m *Manifest) appendAccess(b []byte, a *Access) []byte {
	b = append(b, newRow+"{"...)
	b = jsonstring.AppendField(b, `"path`, m.relative(a.Path))
	b = appendWord(b, `,"op":`, a.Op.String())
	b = appendWord(b, `,"state":`, a.State.String())
	if a.Process >= 0 {
		b = append(b, `,"process":`...)
		b = strconv.AppendInt(b, int64(a.Process), 10)
	}
	if a.Syscall != "" {
		b = jsonstring.Append(append(b, `,"syscall":`...), a.Syscall)
	}
	b = jsonstring.AppendFieldIfSet(b, `,"as`, a.As)
	for i := range a.Links {
		if i == 0 {
			b = append(b, `,"links":[{`...)
		} else {
			b = append(b, ",{"...)
		}
		b = jsonstring.AppendField(b, `"path`, m.relative(a.Links[i].Path))
		b = jsonstring.AppendFieldIfSet(b, `,"target`, a.Links[i].Target)
		b = append(b, '}')
	}
	if len(a.Links) > 0 {
		b = append(b, ']')
	}
	return append(b, '}')
}

// pathRows are rows of paths.
func (m *Manifest) pathRows(paths []string) *making {
	return rows{len(paths), func(p *piece, i int) {
		path := m.relative(paths[i])
		p.counted.add(path)
		p.rows = appendElement(append(p.rows, newRow...), path)
	}}.make()
}

// relative takes the root off a path that is below it; "." is the root itself.
func (m *Manifest) relative(path string) string {
	switch {
	case m.Root == "" || !isWithin(path, m.Root):
		return path
	case path == m.Root:
		return "."
	}
	return strings.TrimPrefix(path[len(m.Root):], "/")
}

// appendWord appends a string that is known to need no escapes.
func appendWord(b []byte, key, word string) []byte {
	b = append(b, key...)
	b = append(b, '"')
	b = append(b, word...)
	return append(b, '"')
}

func appendWordIfSet(b []byte, key, word string) []byte {
	if word == "" {
		return b
	}
	return appendWord(b, key, word)
}

// appendElement appends a string as a wireList has it.
func appendElement(b []byte, s string) []byte {
	if utf8.ValidString(s) {
		return jsonstring.Append(b, s)
	}
	return append(jsonstring.AppendBase64(append(b, `{"base64":`...), s), '}')
}

// formatMode gives permission bits as chmod(1) does.
func formatMode(mode uint32) string { return string(appendMode(nil, mode)) }

func appendMode(b []byte, mode uint32) []byte {
	return append(b, '0'+byte(mode>>9), '0'+byte(mode>>6&7), '0'+byte(mode>>3&7), '0'+byte(mode&7))
}

func parseMode(s string) (uint32, error) {
	var mode uint32
	isOctal := len(s) == 4
	for i := range len(s) {
		digit := s[i] - '0'
		isOctal = isOctal && digit < 8
		mode = mode<<3 | uint32(digit)
	}
	if !isOctal {
		return 0, fmt.Errorf("mode %q: not four octal digits", s)
	}
	return mode, nil
}
