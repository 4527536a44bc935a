package varlink

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// An inspector reads parameters before they are decoded, and finds what encoding/json
// passes over in silence: half of a surrogate pair, which it makes U+FFFD of, so that
// another file would be run; a name that comes twice; a name in other letter case.
//
// The text must be valid JSON: json.Valid.
type inspector struct {
	data []byte
	at   int
}

// A fault is what an inspector has found, and in which parameter.
type fault struct{ name, what string }

func (f *fault) Error() string { return f.name + ": " + f.what }

// nonempty marks fields that must not be empty strings where they are given. Not to be
// given is something else.
const nonempty = "nonempty"

// maxMembers is how many members an object may have. Their names are kept for as long as
// it is read.
const maxMembers = 100_000

// inspect reads a value that will be decoded into a type.
func inspect(data []byte, t reflect.Type) error {
	i := inspector{data: data}
	i.space()
	return i.value(t, "", false)
}

// value reads a value. Without a type it is not decoded here: RawMessage, say. name is
// the parameter that it is of.
func (i *inspector) value(t reflect.Type, name string, filled bool) error {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == reflect.TypeFor[json.RawMessage]() {
		t = nil
	}
	switch i.data[i.at] {
	case '{':
		return i.object(t, name)
	case '[':
		return i.array(t, name)
	case '"':
		text := i.text()
		if filled && len(text) == 0 {
			return &fault{name, "empty"}
		}
		return wholePairs(text, name)
	}
	for i.at < len(i.data) && !bytes.ContainsRune([]byte(",]} \t\r\n"), rune(i.data[i.at])) {
		i.at++ // a number, true, false, null
	}
	return nil
}

func (i *inspector) array(t reflect.Type, name string) error {
	var element reflect.Type
	if t != nil && t.Kind() == reflect.Slice {
		element = t.Elem()
	}
	i.at++
	for n := 0; i.more(']'); n++ {
		at := name
		if element != nil && element.Kind() == reflect.Struct {
			at = name + "[" + strconv.Itoa(n) + "]"
		}
		if err := i.value(element, at, false); err != nil {
			return err
		}
	}
	return nil
}

func (i *inspector) object(t reflect.Type, name string) error {
	var fields map[string]reflect.StructField
	if t != nil && t.Kind() == reflect.Struct {
		fields = fieldsOf(t)
	}
	return i.members(name, fields != nil, func(key string) error {
		member := name
		if fields != nil {
			member = strings.TrimPrefix(name+"."+key, ".")
		}
		field, ok := fields[key]
		if fields != nil && !ok {
			return &fault{member, "unknown"}
		}
		return i.value(field.Type, member, field.Tag.Get("check") == nonempty)
	})
}

// members reads an object. It calls f for each member, to read its value. Members are
// parameters of their own if they are named.
func (i *inspector) members(of string, named bool, f func(key string) error) error {
	var seen names
	i.at++
	for i.more('}') {
		key, err := i.key(of)
		if err != nil {
			return err
		}
		if !seen.add(key) {
			name := of
			if named {
				name = strings.TrimPrefix(of+"."+key, ".")
			}
			return &fault{name, key + ": twice, or one of too many"}
		}
		if err := f(key); err != nil {
			return err
		}
	}
	return nil
}

// skip reads a value, whatever it is.
func (i *inspector) skip() {
	for depth := 0; i.at < len(i.data); {
		switch i.data[i.at] {
		case '"':
			i.text()
			if depth == 0 {
				return
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 { // behind a number
				return
			}
			if depth--; depth == 0 {
				i.at++
				return
			}
		case ',':
			if depth == 0 {
				return
			}
		}
		i.at++
	}
}

// key reads the name of a member, and the colon behind it.
func (i *inspector) key(of string) (string, error) {
	raw := i.text()
	key := string(raw)
	if bytes.IndexByte(raw, '\\') >= 0 {
		if err := wholePairs(raw, of); err != nil {
			return "", err
		}
		if err := json.Unmarshal(fmt.Appendf(nil, `"%s"`, raw), &key); err != nil {
			return "", &fault{of, err.Error()}
		}
	}
	i.space()
	i.at++
	i.space()
	return key, nil
}

// text reads a string, and returns what is between its quotes.
func (i *inspector) text() []byte {
	i.at++
	begin := i.at
	for i.data[i.at] != '"' {
		if i.data[i.at] == '\\' {
			i.at++
		}
		i.at++
	}
	i.at++
	return i.data[begin : i.at-1]
}

func (i *inspector) space() {
	for i.at < len(i.data) && strings.IndexByte(" \t\r\n", i.data[i.at]) >= 0 {
		i.at++
	}
}

// wholePairs makes sure that no escape of a string is half of a surrogate pair.
func wholePairs(text []byte, name string) error {
	for {
		at := bytes.IndexByte(text, '\\')
		if at < 0 {
			return nil
		}
		if text[at+1] != 'u' {
			text = text[at+2:]
			continue
		}
		unit := utf16At(text[at:])
		text = text[at+6:]
		switch {
		case unit < 0xd800 || unit > 0xdfff:
		case unit < 0xdc00 && len(text) >= 6 && text[0] == '\\' && text[1] == 'u' && utf16At(text)>>10 == 0xdc00>>10:
			text = text[6:]
		default:
			return &fault{name, "half of a surrogate pair"}
		}
	}
}

// utf16At reads an escape of the form \uXXXX.
func utf16At(escape []byte) uint64 {
	unit, err := strconv.ParseUint(string(escape[2:6]), 16, 16)
	if err != nil {
		return 0 // not in valid JSON
	}
	return unit
}

// names are those of one object's members.
type names struct {
	few  []string
	many map[string]bool
}

// add reports whether the name is new, and there may be one more.
func (n *names) add(name string) bool {
	const few = 16
	if n.many == nil && len(n.few) < few {
		if slices.Contains(n.few, name) {
			return false
		}
		n.few = append(n.few, name)
		return true
	}
	if n.many == nil {
		n.many = make(map[string]bool)
		for _, name := range n.few {
			n.many[name] = true
		}
	}
	if n.many[name] || len(n.many) >= maxMembers {
		return false
	}
	n.many[name] = true
	return true
}

// fieldsOf returns the fields of a struct by their names on the wire.
func fieldsOf(t reflect.Type) map[string]reflect.StructField {
	fields := make(map[string]reflect.StructField, t.NumField())
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		fields[name] = f
	}
	return fields
}
