package events

import (
	"encoding/base64"
	"strconv"
	"unicode/utf8"
)

// The functions below take a key as `,"name`, without its closing quote: a
// value that is not UTF-8 adds to the name.

// appendSet appends the field unless s is empty.
func appendSet(b []byte, key, s string) []byte {
	if s == "" {
		return b
	}
	return appendString(b, key, s)
}

// appendString appends the field, in base64 under the longer key if s is not
// UTF-8.
func appendString(b []byte, key, s string) []byte {
	b = append(b, key...)
	n := plainPrefix(s)
	if n == len(s) {
		b = append(b, `":"`...)
		b = append(b, s...)
		return append(b, '"')
	}
	if utf8.ValidString(s[n:]) {
		b = append(b, `":`...)
		return appendQuoted(b, s)
	}
	b = append(b, `Base64":`...)
	return appendBase64(b, s)
}

// appendStrings appends a field of several strings: either all are text, or
// all base64, so that no reader has to put two arrays together.
func appendStrings(b []byte, key string, list []string) []byte {
	b = append(b, key...)
	appendOne := appendQuoted
	for _, s := range list {
		if !utf8.ValidString(s) {
			b = append(b, `Base64`...)
			appendOne = appendBase64
			break
		}
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

func appendLinks(b []byte, links []Link) []byte {
	if len(links) == 0 {
		return b
	}
	b = append(b, `,"links":[`...)
	for i := range links {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, `{"path`, links[i].Path)
		b = appendString(b, `,"target`, links[i].Target)
		b = append(b, '}')
	}
	return append(b, ']')
}

func appendIncomplete(b []byte, i *Incomplete) []byte {
	b = appendString(b, `{"reason`, string(i.Reason))
	if i.PID != 0 {
		b = append(b, `,"pid":`...)
		b = strconv.AppendInt(b, int64(i.PID), 10)
	}
	b = appendSet(b, `,"detail`, i.Detail)
	return append(b, '}')
}

// jsonPlain tells which bytes stand for themselves in a JSON string and are
// UTF-8 whatever is beside them.
var jsonPlain = func() (plain [256]bool) {
	for c := byte(' '); c < utf8.RuneSelf; c++ {
		plain[c] = c != '"' && c != '\\'
	}
	return plain
}()

// plainPrefix returns how many bytes of s need no second look: for most paths, all.
func plainPrefix(s string) int {
	for i := 0; i < len(s); i++ {
		if !jsonPlain[s[i]] {
			return i
		}
	}
	return len(s)
}

// appendQuoted appends s, which is UTF-8, as a JSON string.
func appendQuoted(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if jsonPlain[c] || c >= utf8.RuneSelf {
			continue
		}
		b = append(b, s[start:i]...)
		start = i + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		default:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&0xf])
		}
	}
	b = append(b, s[start:]...)
	return append(b, '"')
}

// appendBase64 appends s as a JSON string of base64. It goes by way of a small
// array because converting a long string to a slice allocates.
func appendBase64(b []byte, s string) []byte {
	var part [96]byte // a multiple of three: no padding before the end
	b = append(b, '"')
	for len(s) > 0 {
		n := copy(part[:], s)
		b = base64.StdEncoding.AppendEncode(b, part[:n])
		s = s[n:]
	}
	return append(b, '"')
}
