package manifest

import (
	"bytes"
	"encoding/json"
	"strconv"
)

// UnmarshalJSON reads an entry. A manifest has thousands of them, and to read them
// by reflection takes longer than to compare them with the file system: what
// Encode writes for a plain name is read here. Everything else, such as a name
// with an escape, is left to encoding/json; so are all questions of syntax, which
// have been settled before this is called.
func (w *wireEntry) UnmarshalJSON(b []byte) error {
	*w = wireEntry{}
	if w.readPlain(b) {
		return nil
	}
	*w = wireEntry{}
	type plain wireEntry // has no methods
	return json.Unmarshal(b, (*plain)(w))
}

// readPlain reads an entry without blanks, escapes, unknown fields or fields that are
// there twice, and tells whether it was one.
func (w *wireEntry) readPlain(b []byte) bool {
	p := plainReader{b: b}
	if !p.skip('{') {
		return false
	}
	for {
		key := p.string()
		if !p.skip(':') {
			return false
		}
		switch key {
		case "path":
			p.once(&w.Path)
		case "state":
			p.once(&w.State)
		case "sha256":
			p.once(&w.SHA256)
		case "size":
			p.numberOnce(&w.Size)
		case "mtime":
			p.once(&w.Mtime)
		case "mode":
			p.once(&w.Mode)
		case "owner":
			p.once(&w.Owner)
		case "links":
			p.numberOnce(&w.Links)
		case "told":
			if w.Told != nil {
				return false
			}
			w.Told = p.told()
		case "target":
			p.once(&w.Target)
		case "entries":
			p.once(&w.Entries)
		case "names":
			if w.Names != nil {
				return false
			}
			if w.Names = p.strings(); len(w.Names) == 0 {
				return false // nil, to encoding/json
			}
		case "before":
			p.once(&w.Before)
		case "ops":
			if w.Ops != nil {
				return false
			}
			w.Ops = p.strings()
		default:
			return false
		}
		if p.bad {
			return false
		}
		if p.skip('}') {
			return len(p.b) == 0
		}
		if !p.skip(',') {
			return false
		}
	}
}

// A plainReader takes values off the beginning of valid JSON without blanks.
type plainReader struct {
	b   []byte
	bad bool // there was something else
}

func (p *plainReader) skip(c byte) bool {
	if len(p.b) == 0 || p.b[0] != c {
		return false
	}
	p.b = p.b[1:]
	return true
}

func (p *plainReader) string() string {
	if !p.skip('"') {
		p.bad = true
		return ""
	}
	end := bytes.IndexByte(p.b, '"')
	if end < 0 || bytes.IndexByte(p.b[:end], '\\') >= 0 {
		p.bad = true
		return ""
	}
	s := string(p.b[:end])
	p.b = p.b[end+1:]
	return s
}

// once reads a string into a field that is still empty.
func (p *plainReader) once(field *string) {
	s := p.string()
	p.bad = p.bad || *field != "" || s == ""
	*field = s
}

// told reads what comes after "told".
func (p *plainReader) told() *wireTold {
	t := &wireTold{}
	for sep := byte('{'); !p.bad; sep = ',' {
		if sep == ',' && p.skip('}') {
			return t
		}
		if !p.skip(sep) {
			break
		}
		key := p.string()
		if !p.skip(':') {
			break
		}
		switch key {
		case "mtime":
			p.once(&t.Mtime)
		case "links":
			p.numberOnce(&t.Links)
		case "owner":
			p.once(&t.Owner)
		default:
			p.bad = true
		}
	}
	p.bad = true
	return t
}

// numberOnce reads a number into a field that is still nil.
func (p *plainReader) numberOnce(field **int64) {
	p.bad = p.bad || *field != nil
	*field = p.number()
}

func (p *plainReader) number() *int64 {
	end := 0
	for end < len(p.b) && p.b[end] >= '0' && p.b[end] <= '9' {
		end++
	}
	n, err := strconv.ParseInt(string(p.b[:end]), 10, 64)
	p.bad = p.bad || err != nil
	p.b = p.b[end:]
	return &n
}

func (p *plainReader) strings() []string {
	if !p.skip('[') {
		p.bad = true
		return nil
	}
	list := []string{}
	if p.skip(']') {
		return list
	}
	for !p.bad {
		list = append(list, p.string())
		if p.skip(']') {
			return list
		}
		p.bad = p.bad || !p.skip(',')
	}
	return nil
}
