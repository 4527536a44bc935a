package manifest

import (
	"bytes"
	"encoding/binary"
	"hash"
	"strings"
)

// The digest of a manifest is the SHA-256 of what its inputs, its outputs and its list of
// removed paths say, but for what the command was told of times, which is new in each
// checkout, and the names in a directory, of which there is a hash. It is not made of the
// rows as they are written: SHA-256 of all that text took as long as to make it, and on
// one processor. For each array it includes the name and then, for each row,
//
//	the directory, if it is not that of the row before: 1, length, bytes; otherwise 0
//	the last component: length, bytes
//	the fields of an Entry, in the order of addFacts
//
// Lengths and numbers are varints of encoding/binary; a number that is unset is -1.

// counted is what the digest counts of some rows.
type counted struct {
	text []byte
	// The directories of the first and the last row. That of the first is not in text:
	// whether it is that of the row before is known when the rows are put together.
	first, last []byte
	any         bool
}

func (c *counted) reset() { c.text, c.any = c.text[:0], false }

// add begins a row.
func (c *counted) add(path string) {
	dir, name := path[:strings.LastIndexByte(path, '/')+1], path
	name = path[len(dir):]
	switch {
	case !c.any:
		c.any, c.first, c.last = true, append(c.first[:0], dir...), append(c.last[:0], dir...)
	case string(c.last) == dir:
		c.text = append(c.text, 0)
	default:
		c.text = appendCountedString(append(c.text, 1), dir)
		c.last = append(c.last[:0], dir...)
	}
	c.text = appendCountedString(c.text, name)
}

// addFacts adds what the row of an entry says beside the path.
func (c *counted) addFacts(e *Entry) {
	b := append(c.text, byte(e.State), byte(e.Before))
	for _, s := range [...]string{e.SHA256, e.Target, e.Error, e.Entries} {
		b = appendCountedString(b, s)
	}
	for _, n := range [...]int64{e.Size, e.Mtime, int64(e.Mode), e.UID, e.GID, e.Links, int64(len(e.Ops))} {
		b = binary.AppendVarint(b, n)
	}
	for _, op := range e.Ops {
		b = append(b, byte(op))
	}
	flags := byte(0)
	if e.NotEmpty {
		flags |= 1
	}
	if e.Shared {
		flags |= 2
	}
	c.text = append(b, flags)
}

func appendCountedString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// A digester puts together what the rows of an array have for the digest.
type digester struct {
	hash.Hash
	dir []byte // of the last row
	buf []byte
	any bool
}

// begin begins an array.
func (d *digester) begin(array string) {
	d.any, d.buf = false, appendCountedString(d.buf[:0], array)
	d.Write(d.buf) // a hash returns no error
}

// count counts the rows that come next.
func (d *digester) count(c *counted) {
	switch {
	case !c.any:
		return
	case d.any && bytes.Equal(d.dir, c.first):
		d.Write([]byte{0})
	default:
		d.buf = appendCountedString(append(d.buf[:0], 1), textOf(c.first))
		d.Write(d.buf)
	}
	d.Write(c.text)
	d.any, d.dir = true, append(d.dir[:0], c.last...)
}
