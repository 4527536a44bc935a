package ipc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// A call is what a client sends.
type call struct {
	Method     string          `json:"method"`
	Parameters json.RawMessage `json:"parameters,omitempty"`
	More       bool            `json:"more,omitempty"`
	Oneway     bool            `json:"oneway,omitempty"`
	Upgrade    bool            `json:"upgrade,omitempty"`
}

// A reply is what the server sends.
type reply struct {
	Parameters json.RawMessage `json:"parameters,omitempty"`
	Continues  bool            `json:"continues,omitempty"`
	Error      string          `json:"error,omitempty"`
}

// decodeCall reads a client's message. Fields that it does not know are passed over,
// as varlink has it; those of parameters are not.
func decodeCall(data []byte) (*call, error) {
	if !utf8.Valid(data) { // encoding/json would put U+FFFD there and say nothing
		return nil, errors.New("not UTF-8")
	}
	var c call
	if err := json.Unmarshal(data, &c); err != nil {
		return nil, err
	}
	switch {
	case c.Method == "":
		return nil, errors.New("no method")
	case c.Upgrade:
		return nil, errors.New("upgrade: there is nothing to upgrade to")
	case c.More && c.Oneway:
		return nil, errors.New("more and oneway exclude each other")
	}
	return &c, nil
}

// decodeParameters reads parameters into a struct, and returns an *Error that the
// client should get. A field that is not known is an error: an option that has no
// effect would be worse.
func decodeParameters(data json.RawMessage, into any) error {
	if len(data) == 0 || string(data) == "null" {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	err := d.Decode(into)
	if err == nil {
		return nil
	}
	name := ""
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		name = wrong.Field
	} else if _, quoted, ok := strings.Cut(err.Error(), `unknown field "`); ok {
		name = strings.TrimSuffix(quoted, `"`)
	}
	return invalidParameter(name)
}

// encode is json.Marshal without escaping what only matters within HTML.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("encode message: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte{'\n'}), nil
}

// A text is a string that need not be UTF-8, in the two fields that it has.
func toText(s string) (text *string, b64 []byte) {
	if utf8.ValidString(s) {
		return &s, nil
	}
	return nil, []byte(s)
}

func fromText(text *string, b64 []byte) string {
	if b64 != nil {
		return string(b64)
	}
	if text != nil {
		return *text
	}
	return ""
}

// toTexts is toText for lists: either all elements are text, or all bytes.
func toTexts(list []string) (text []string, b64 [][]byte) {
	for _, s := range list {
		if !utf8.ValidString(s) {
			for _, s := range list {
				b64 = append(b64, []byte(s))
			}
			return nil, b64
		}
	}
	if list == nil {
		list = []string{}
	}
	return list, nil
}

func fromTexts(text []string, b64 [][]byte) []string {
	if b64 == nil {
		return text
	}
	list := make([]string, len(b64))
	for i := range b64 {
		list[i] = string(b64[i])
	}
	return list
}
