package manifest

import (
	"bytes"
	"encoding/json"
	"sync/atomic"
)

// unmarshalWritten reads a document that is as Encode wrote it, byte for byte: an entry a
// line, and no line break elsewhere. It reads the entries on all processors and passes
// over what explains them. encoding/json reads the rest, and all of any other document.
// It reports whether it could.
func (d *document) unmarshalWritten(data []byte) bool {
	rest := make([]byte, 0, len(data)/64)
	var arrays [4][]byte
	for i, name := range [...]string{"inputs", "outputs", "processes", "accesses"} {
		before, rows, after, ok := cutArray(data, name)
		if !ok {
			return false
		}
		rest = append(rest, before...)
		arrays[i], data = rows, after
	}
	rest = append(rest, data...)
	if json.Unmarshal(rest, d) != nil || d.Inputs == nil || d.Outputs == nil {
		return false
	}
	var ok bool
	if *d.Inputs, ok = unmarshalRows(arrays[0]); !ok {
		return false
	}
	*d.Outputs, ok = unmarshalRows(arrays[1])
	return ok
}

// cutArray cuts out what is in the array of a field.
func cutArray(data []byte, name string) (before, rows, after []byte, ok bool) {
	key := []byte("\n\"" + name + "\":[")
	start := bytes.Index(data, key)
	if start < 0 {
		return nil, nil, nil, false
	}
	start += len(key)
	n := bytes.Index(data[start:], []byte("],\n\"")) // a row has no line break, and begins with a blank
	if n < 0 {
		return nil, nil, nil, false
	}
	return data[:start], data[start : start+n], data[start+n:], true
}

// unmarshalRows reads entries, each on a line of its own.
func unmarshalRows(rows []byte) ([]wireEntry, bool) {
	lines := bytes.Split(bytes.TrimPrefix(rows, []byte("\n ")), []byte(newRow))
	if len(rows) == 0 {
		lines = nil
	}
	list := make([]wireEntry, len(lines))
	var failed atomic.Bool
	parallel(len(lines), func(i int) {
		if list[i].UnmarshalJSON(lines[i]) != nil {
			failed.Store(true)
		}
	})
	return list, !failed.Load()
}
