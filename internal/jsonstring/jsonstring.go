// Package jsonstring puts strings into JSON that need not be UTF-8, such as paths.
//
// A string of JSON is text, so each such string has two fields, of which one is used: a
// path is in "path" if it is UTF-8, and otherwise as base64 in "pathBase64". A list of
// strings has two fields in the same way, so that no reader has to merge two lists.
//
// encoding/json writes and reads a []byte as base64. For types that it encodes, Split and
// Join convert between a string and its two fields. The functions that append encode
// without reflection, to the same bytes.
package jsonstring

import (
	"encoding/base64"
	"unicode/utf8"
)

// Split returns the values of the two fields of s. bytes is nil if s is UTF-8.
func Split(s string) (text string, bytes []byte) {
	if utf8.ValidString(s) {
		return s, nil
	}
	return "", []byte(s)
}

// Join returns the string that two fields have.
func Join(text string, bytes []byte) string {
	if bytes != nil {
		return string(bytes)
	}
	return text
}

// SplitAll is Split for a list. If list is empty, text is empty and not nil.
func SplitAll(list []string) (text []string, bytes [][]byte) {
	if isText(list) {
		if list == nil {
			list = []string{}
		}
		return list, nil
	}
	for _, s := range list {
		bytes = append(bytes, []byte(s))
	}
	return nil, bytes
}

// JoinAll is Join for a list.
func JoinAll(text []string, bytes [][]byte) []string {
	if bytes == nil {
		return text
	}
	list := make([]string, len(bytes))
	for i := range bytes {
		list[i] = string(bytes[i])
	}
	return list
}

func isText(list []string) bool {
	for _, s := range list {
		if !utf8.ValidString(s) {
			return false
		}
	}
	return true
}

// AppendField appends the field of s that is used. The key comes without the quotation
// mark that ends it, as `,"path`, because the name depends on s.
func AppendField(b []byte, key, s string) []byte {
	b = append(b, key...)
	n := plainPrefix(s)
	switch {
	case n == len(s): // most are
		b = append(b, `":"`...)
		b = append(b, s...)
		return append(b, '"')
	case utf8.ValidString(s[n:]):
		return Append(append(b, `":`...), s)
	}
	return AppendBase64(append(b, `Base64":`...), s)
}

// AppendFieldIfSet is AppendField, but appends nothing if s is empty.
func AppendFieldIfSet(b []byte, key, s string) []byte {
	if s == "" {
		return b
	}
	return AppendField(b, key, s)
}

// AppendListField is AppendField for a list.
func AppendListField(b []byte, key string, list []string) []byte {
	b = append(b, key...)
	appendOne := Append
	if !isText(list) {
		b = append(b, `Base64`...)
		appendOne = AppendBase64
	}
	b = append(b, `":[`...)
	for i, s := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendOne(b, s)
	}
	return append(b, ']')
}

// plain are the bytes that stand for themselves in a string of JSON, and are UTF-8
// whatever is beside them.
var plain = func() (plain [256]bool) {
	for c := byte(' '); c < utf8.RuneSelf; c++ {
		plain[c] = c != '"' && c != '\\'
	}
	return plain
}()

func plainPrefix(s string) int {
	for i := range len(s) {
		if !plain[s[i]] {
			return i
		}
	}
	return len(s)
}

// Append appends s, which must be UTF-8, as a string of JSON. Its escapes are those of
// encoding/json without SetEscapeHTML.
func Append(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	start := 0
	for i := plainPrefix(s); i < len(s); i++ {
		c, n := s[i], 1
		if plain[c] || c >= utf8.RuneSelf {
			if !isLineSeparator(s[i:]) {
				continue
			}
			n = 3
		}
		b = append(b, s[start:i]...)
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\b':
			b = append(b, `\b`...)
		case '\f':
			b = append(b, `\f`...)
		case '\n':
			b = append(b, `\n`...)
		case '\r':
			b = append(b, `\r`...)
		case '\t':
			b = append(b, `\t`...)
		case lineSeparator[0]:
			b = append(b, `\u202`...)
			b = append(b, hex[s[i+2]&0xf])
		default:
			b = append(b, `\u00`...)
			b = append(b, hex[c>>4], hex[c&0xf])
		}
		i += n - 1
		start = i + 1
	}
	b = append(b, s[start:]...)
	return append(b, '"')
}

// lineSeparator is U+2028. It and U+2029 end lines in JavaScript.
const lineSeparator = "\u2028"

func isLineSeparator(s string) bool {
	return len(s) >= 3 && s[:2] == lineSeparator[:2] && s[2]&^1 == lineSeparator[2]
}

// AppendBase64 appends s as a string of base64. It copies s in parts, because converting
// a long string to a slice allocates.
func AppendBase64(b []byte, s string) []byte {
	var part [96]byte // a multiple of three: no padding before the end
	b = append(b, '"')
	for len(s) > 0 {
		n := copy(part[:], s)
		b = base64.StdEncoding.AppendEncode(b, part[:n])
		s = s[n:]
	}
	return append(b, '"')
}
